import { equal, throws } from "@std/assert";
import { KernelTypes } from "./btf.ts";

const STRUCT = 4, UNION = 5, INT = 1, CONST = 10;
const STRINGS = "\0int\0whole\0first\0inner\0bits\0";
const at = (name: string) => STRINGS.indexOf(`\0${name}\0`) + 1;

/** `struct whole { int first; const union { int inner; }; int bits : 3; }` after an `int`. */
function types(): Uint8Array {
  const words = [
    [at("int"), INT << 24, 4, 32],
    [0, UNION << 24 | 1, 4, at("inner"), 1, 0],
    [0, CONST << 24, 2],
    [at("whole"), (1 << 31 | STRUCT << 24 | 3) >>> 0, 12],
    [at("first"), 1, 0, 0, 3, 64, at("bits"), 1, 3 << 24 | 97],
  ].flat();
  const size = words.length * 4;
  const bytes = new Uint8Array(24 + size + STRINGS.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  [24, 0, size, size, STRINGS.length].forEach((word, i) => view.setUint32(4 + i * 4, word, true));
  words.forEach((word, index) => view.setUint32(24 + index * 4, word, true));
  bytes.set(new TextEncoder().encode(STRINGS), 24 + size);
  return bytes;
}

Deno.test("KernelTypes tells where fields lie, also those of parts without a name", () => {
  const kernel = new KernelTypes(types());
  equal(kernel.size("whole"), 12);
  equal(kernel.offset("whole", "first"), 0n);
  equal(kernel.offset("whole", "inner"), 8n);
});

Deno.test("KernelTypes says what it does not know", () => {
  const kernel = new KernelTypes(types());
  throws(() => kernel.offset("whole", "other"), /does not tell of whole\.other/);
  throws(() => kernel.offset("whole", "bits"), /does not tell of whole\.bits/);
  throws(() => kernel.size("other"), /does not tell of struct other/);
  throws(() => new KernelTypes(new Uint8Array(24)), /does not tell of its types/);
});
