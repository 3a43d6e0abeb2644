import { deepEqual, ok } from "@std/assert";
import { findServiceRange, SPARE } from "./service_numbers.ts";

Deno.test("findServiceRange() goes above all numbers where there is room", () => {
  deepEqual(findServiceRange([0, 1, 2], 20_000, 100), { first: 64 + SPARE, end: 20_000 });
  deepEqual(findServiceRange([700, 2, 700], 20_000, 100), { first: 701 + SPARE, end: 20_000 });
  deepEqual(findServiceRange([], 20_000, 100), { first: 64 + SPARE, end: 20_000 });
});

Deno.test("findServiceRange() takes the widest gap where a number is close to the limit", () => {
  deepEqual(findServiceRange([0, 1, 2, 1023], 1024, 100), { first: 3 + SPARE, end: 1023 });
  deepEqual(findServiceRange([0, 500, 4000, 4095], 4096, 100), { first: 501 + SPARE, end: 4000 });
  // Above is the widest gap, if not as wide as it should be.
  deepEqual(findServiceRange([0, 1, 100], 1024, 5000), { first: 101 + SPARE, end: 1024 });
});

Deno.test("findServiceRange() leaves the standard streams alone, had or not", () => {
  deepEqual(findServiceRange([1023], 1024, 100), { first: 3 + SPARE, end: 1023 });
});

Deno.test("findServiceRange() gives none where there is no room, and none beyond the limit", () => {
  const { first, end } = findServiceRange(Array.from({ length: 1024 }, (_, fd) => fd), 1024, 1);
  ok(end <= first);
  const beyond = findServiceRange([5000], 1024, 100);
  ok(beyond.end <= 1024);
});
