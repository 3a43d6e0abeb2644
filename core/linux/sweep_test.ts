import assert from "@std/assert";
import { cString } from "./libc_ffi.ts";
import { GIVEN, Own, Returned, Sweep, TID } from "./sweep.ts";

Deno.test("Sweep makes its calls for each of many threads, in their order", () => {
  const sweep = new Sweep([{ name: "dup", args: [TID] }, {
    name: "close",
    args: [new Returned(0)],
  }]);
  const numbers = Array.from({ length: 150 }, (_, index) => index % 2 === 0 ? 0 : -7 - index);
  const seen: [number, boolean, number, number][] = [];
  sweep.run(numbers, {
    look: (tid, { result }, index) => seen.push([tid, result(0) >= 0, result(1), index]),
  });
  assert.deepEqual(
    seen,
    numbers.map((number, index) => [number, number === 0, number === 0 ? 0 : -9, index]),
  );
});

Deno.test("Sweep gives each thread memory of its own, and all a number", () => {
  const path = cString("/proc/self/stat");
  const sweep = new Sweep([
    { name: "openat", args: [-100, new Own(0), 0, 0] },
    { name: "read", args: [new Returned(0), new Own(16), GIVEN] },
    { name: "close", args: [new Returned(0)] },
  ], 32);
  const seen: [number, string][] = [];
  sweep.run(Array(70).fill(0), {
    given: 2,
    fill: (own, _, index) => own.fill(0).set(index === 3 ? cString("/nothing") : path),
    look: (_, { result, own }) =>
      seen.push([result(1), new TextDecoder().decode(own.subarray(16, 18))]),
  });
  const begin = String(Deno.pid).padEnd(2).slice(0, 2);
  assert.equal(seen.length, 70);
  seen.forEach((one, index) => assert.deepEqual(one, index === 3 ? [-9, "\0\0"] : [2, begin]));
});
