import { deepEqual } from "@std/assert";
import { superfluous } from "./retention.ts";

const none = () => [];

Deno.test("superfluous() leaves the newest", () => {
  deepEqual(superfluous([4, 2, 3, 1], 2, 4, none), [1, 2]);
  deepEqual(superfluous([1, 2], 2, 2, none), []);
  deepEqual(superfluous([1, 2], 5, 2, none), []);
  deepEqual(superfluous([], 1, undefined, none), []);
});

Deno.test("superfluous() never takes where a restore would begin", () => {
  deepEqual(superfluous([1, 2, 3, 4], 1, 2, none), [1, 3]);
});

Deno.test("superfluous() breaks no chain", () => {
  const parents: Record<number, number> = { 4: 3, 3: 1, 6: 5 };
  const needs = (number: number) => parents[number] === undefined ? [] : [parents[number]];
  deepEqual(superfluous([1, 2, 3, 4, 5, 6], 1, 6, needs), [1, 2, 3, 4]);
  deepEqual(superfluous([1, 2, 3, 4, 5], 2, 5, needs), [2]);
  deepEqual(superfluous([1, 2, 3, 4], 1, 4, needs), [2]);
});

Deno.test("superfluous() comes to an end where a chain bites its tail", () => {
  deepEqual(superfluous([1, 2, 3], 1, 3, (number) => [number === 3 ? 2 : 3]), [1]);
});
