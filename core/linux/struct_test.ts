import assert from "@std/assert";
import { defineStruct } from "./struct.ts";

const sample = defineStruct("sample", 24, {
  small: [0, "u8"],
  signed: [4, "i32"],
  wide: [8, "u64"],
  negative: [16, "i64"],
});

Deno.test("defineStruct() writes little-endian at the offsets and reads the same back", () => {
  const bytes = sample.make({ small: 255, signed: -2, wide: 2n ** 64n - 1n, negative: -3n });
  assert.deepEqual([...bytes.subarray(0, 8)], [255, 0, 0, 0, 254, 255, 255, 255]);
  assert.deepEqual(sample.read(bytes), {
    small: 255,
    signed: -2,
    wide: 2n ** 64n - 1n,
    negative: -3n,
  });
});

Deno.test("defineStruct() leaves fields alone that are not named", () => {
  const bytes = sample.make({ wide: 7n });
  sample.write(bytes, { small: 1 });
  assert.equal(sample.read(bytes).wide, 7n);
});

Deno.test("defineStruct() refuses to read past the end and fields outside", () => {
  assert.throws(() => sample.read(new Uint8Array(23)), RangeError);
  assert.throws(() => defineStruct("bad", 4, { x: [1, "u32"] }), RangeError);
});
