import assert from "@std/assert";
import { knownBefore } from "./flow.ts";

const load = (k: number) => ({ code: 0x20, jt: 0, jf: 0, k });
const equal = (k: number, jt: number, jf: number) => ({ code: 0x15, jt, jf, k });
const allow = { code: 0x06, jt: 0, jf: 0, k: 0x7fff0000 };

Deno.test("knownBefore() tells which word is in A, whichever way led there", () => {
  const known = knownBefore([
    load(0),
    equal(1, 1, 0),
    load(16),
    equal(2, 0, 0), // from the jump with the number, from the load with an argument
    { code: 0x87, jt: 0, jf: 0, k: 0 }, // A = X
    allow,
  ]);
  assert.deepEqual(known.map(({ loaded }) => loaded), [
    undefined,
    0,
    0,
    undefined,
    undefined,
    undefined,
  ]);
});

Deno.test("knownBefore() tells where only calls of another architecture come", () => {
  const known = knownBefore([
    load(4),
    equal(0xc000003e, 3, 0),
    equal(0x40000003, 0, 2), // i386
    load(0),
    allow,
    allow, // both x86-64 and whatever is neither
  ]);
  assert.deepEqual(known.map(({ foreign }) => foreign), [false, false, true, true, true, false]);
});
