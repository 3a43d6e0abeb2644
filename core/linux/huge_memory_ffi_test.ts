import { equal } from "@std/assert";
import { HugeMemory } from "./huge_memory_ffi.ts";
import { addressOf } from "./libc_ffi.ts";

Deno.test("HugeMemory is memory at the address that it names", () => {
  using memory = new HugeMemory(3 << 20);
  equal(memory.bytes.byteLength, 3 << 20);
  equal(memory.bytes.every((byte) => byte === 0), true);
  memory.bytes.set([1, 2, 3], (3 << 20) - 3);
  equal(addressOf(memory.bytes), memory.address);
  equal(memory.address % (1n << 21n), 0n);
});
