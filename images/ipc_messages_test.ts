import { deepEqual, equal } from "@std/assert";
import { concat } from "./codec.ts";
import { decodeIpcMessages, encodeIpcMessages, messagesLength } from "./ipc_messages.ts";

const MESSAGES = [
  { type: 1n, text: new TextEncoder().encode("12345678") },
  { type: 1n << 62n, text: new TextEncoder().encode("x") },
  { type: 3n, text: new Uint8Array() },
];

Deno.test("decodeIpcMessages() is the inverse of encodeIpcMessages()", () => {
  const bytes = encodeIpcMessages(MESSAGES);
  deepEqual(decodeIpcMessages(bytes, 3), { messages: MESSAGES, length: bytes.length });
});

Deno.test("messagesLength() stops behind the last message of the queue", () => {
  const bytes = encodeIpcMessages(MESSAGES);
  equal(messagesLength({ qnum: 3 }, concat([bytes, bytes])), bytes.length);
  equal(messagesLength({ qnum: 0 }, bytes), 0);
});

Deno.test("decodeIpcMessages() refuses a cut anywhere and a number that is too large", () => {
  const bytes = encodeIpcMessages(MESSAGES);
  for (let length = 0; length < bytes.length; length++) {
    equal(decodeIpcMessages(bytes.subarray(0, length), 3), undefined, `${length}`);
  }
  equal(decodeIpcMessages(bytes, 4), undefined);
});
