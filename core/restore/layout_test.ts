import assert from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { findHole } from "./layout.ts";

const MIB = 1n << 20n;
const LOWEST = 1n << 32n;

Deno.test("findHole() takes the lowest room there is", () => {
  assert.equal(findHole([], MIB), LOWEST);
});

Deno.test("findHole() keeps clear of all ranges, in whatever order they come", () => {
  const occupied = [
    { start: LOWEST + 512n * MIB, end: LOWEST + 600n * MIB },
    { start: LOWEST - MIB, end: LOWEST + MIB },
    { start: 0x7ffff0000000n, end: 0x7ffff1000000n },
  ];
  const size = 64n * MIB;
  const hole = findHole(occupied, size);
  for (const { start, end } of occupied) assert.ok(hole + size <= start || hole >= end);
  assert.equal(hole % 4096n, 0n);
});

Deno.test("findHole() leaves a stack above it room to grow", () => {
  const stack = { start: LOWEST + 70n * MIB, end: LOWEST + 71n * MIB };
  // The gap is large enough, but a hole in it would end right below the stack.
  assert.ok(findHole([stack], 60n * MIB) >= stack.end);
});

Deno.test("findHole() says so if there is no room", () => {
  assert.throws(() => findHole([{ start: 0n, end: 1n << 47n }], MIB), StasisError);
});
