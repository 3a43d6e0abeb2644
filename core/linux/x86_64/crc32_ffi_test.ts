import { equal } from "@std/assert";
import { crc32ByTables } from "../../../images/checksum.ts";
import { crc32 } from "./crc32_ffi.ts";

function sample(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => Math.imul(index, 2654435761) >>> 13);
}

Deno.test("crc32() is the one by tables, whatever the length and alignment", () => {
  const bytes = sample(5000);
  for (let size = 0; size < 300; size++) {
    const part = bytes.subarray(size % 17, size % 17 + size);
    equal(crc32(part), crc32ByTables(part), `${size} bytes`);
  }
  equal(crc32(bytes), crc32ByTables(bytes));
  equal(crc32(new Uint8Array(0)), 0);
});

Deno.test("crc32() takes a small array that V8 keeps in its own heap", () => {
  equal(crc32(Uint8Array.of(0x31, 0x32, 0x33)), crc32ByTables(Uint8Array.of(0x31, 0x32, 0x33)));
});
