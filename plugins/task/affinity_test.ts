import { deepEqual, equal } from "@std/assert";
import { cpusOf, isDefaultAffinity, MASK_SIZE, maskOf } from "./affinity.ts";

Deno.test("maskOf() and cpusOf() are each other's inverse", () => {
  for (const cpus of [[], [0], [7, 8], [1, 63, 64, MASK_SIZE * 8 - 1]]) {
    deepEqual(cpusOf(maskOf(cpus)), cpus);
  }
});

Deno.test("isDefaultAffinity() takes all CPUs of the machine or of the container for no restriction", () => {
  const online = [0, 1, 2, 3];
  equal(isDefaultAffinity([0, 1, 2, 3], { online, init: [] }), true);
  equal(isDefaultAffinity([0, 1, 2, 3, 4, 5], { online, init: [] }), true);
  equal(isDefaultAffinity([0, 1], { online, init: [0, 1] }), true);
  equal(isDefaultAffinity([0], { online, init: [0, 1] }), false);
  equal(isDefaultAffinity([0], { online: [], init: [] }), false);
});
