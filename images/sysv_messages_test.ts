import { deepEqual, equal } from "@std/assert";
import { MemorySource } from "./byte_source.ts";
import { decodeQueued, encodeQueued } from "./sysv_messages.ts";

const MESSAGES = [
  { type: 5n, text: new TextEncoder().encode("a text") },
  { type: 0x7fff_ffff_ffff_ffffn, text: new Uint8Array() },
  { type: 1n, text: new Uint8Array(16).fill(7) },
];

Deno.test("decodeQueued() reads what encodeQueued() has made, and what follows stays", () => {
  const bytes = encodeQueued(MESSAGES);
  equal(bytes.length % 2, 0);
  const longer = new Uint8Array(bytes.length + 3);
  longer.set(bytes);
  deepEqual(decodeQueued(new MemorySource(longer), 3), {
    messages: MESSAGES,
    size: bytes.length,
  });
  deepEqual(decodeQueued(new MemorySource(new Uint8Array()), 0), { messages: [], size: 0 });
});

Deno.test("decodeQueued() refuses what is cut short or no message", () => {
  const bytes = encodeQueued(MESSAGES);
  for (let size = 0; size < bytes.length; size++) {
    equal(decodeQueued(new MemorySource(bytes.subarray(0, size)), 3), undefined, `${size} bytes`);
  }
  equal(decodeQueued(new MemorySource(new Uint8Array(64).fill(255)), 1), undefined);
});
