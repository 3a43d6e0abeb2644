import { equal } from "@std/assert";
import { ComparedBuffers } from "./compared_buffers.ts";

Deno.test("ComparedBuffers tells in which part two buffers differ", () => {
  const buffers = new ComparedBuffers(3 * 4096);
  equal(buffers.areEqual(0, 3 * 4096), true);
  buffers.one[4096] = 1;
  equal(buffers.areEqual(0, 3 * 4096), false);
  equal(buffers.areEqual(0, 4096), true);
  equal(buffers.areEqual(4096, 2 * 4096), false);
  equal(buffers.areEqual(4097, 3 * 4096), true);
  buffers.other[4096] = 1;
  equal(buffers.areEqual(0, 3 * 4096), true);
});
