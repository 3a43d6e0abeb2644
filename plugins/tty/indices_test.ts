import { deepEqual, equal } from "@std/assert";
import { openings } from "./indices.ts";

Deno.test("openings() fills the numbers between", () => {
  deepEqual(openings([], new Set()), []);
  deepEqual(openings([3, 1], new Set([0])), [1, undefined, 3]);
  deepEqual(openings([0, 1], new Set()), [0, 1]);
});

Deno.test("openings() has those come last that cannot have their numbers", () => {
  deepEqual(openings([0, 2], new Set([0])), [undefined, 2, 0]);
  deepEqual(openings([1, 100_000_000], new Set()), [undefined, 1, 100_000_000]);
  deepEqual(openings([100_000_000, 2 ** 32 - 1], new Set([5])), [100_000_000, 2 ** 32 - 1]);
});

Deno.test("openings() opens no more than it must", () => {
  const order = openings([400, 800, 900], new Set());
  equal(order.filter((one) => one === undefined).length, 400);
  deepEqual(order.slice(-3), [400, 800, 900]);
});
