/**
 * The messages of a System V queue in its image, behind the `ipc_msg_entry`: each is a framed `ipc_msg` and then
 * its text, padded to 8 bytes.
 *
 * @module
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import type { ByteSource } from "./byte_source.ts";
import { concat, encodeMessage } from "./codec.ts";
import { ipc_msgSchema } from "./gen/sysv_ipc_pb.ts";
import { missingRequired } from "./required.ts";

/** An `ipc_msg` has two numbers, and room for what later versions may add. */
const MAX_HEAD = 4096;

/** A message, as a program sends it. */
export interface QueuedMessage {
  readonly type: bigint;
  readonly text: Uint8Array;
}

const padded = (size: number): number => (size + 7) & ~7;

/** Makes the extra of an `ipc_msg_entry`. */
export function encodeQueued(messages: readonly QueuedMessage[]): Uint8Array {
  return concat(messages.flatMap(({ type, text }) => {
    const head = create(ipc_msgSchema, { mtype: type, msize: text.length });
    const bytes = new Uint8Array(padded(text.length));
    bytes.set(text);
    return [encodeMessage("IPCNS_MSG", ipc_msgSchema, head), bytes];
  }));
}

/**
 * Reads so many messages.
 *
 * @returns them and how many bytes they take, or undefined where the bytes are no such messages
 */
export function decodeQueued(
  source: ByteSource,
  count: number,
): { readonly messages: QueuedMessage[]; readonly size: number } | undefined {
  const messages: QueuedMessage[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (source.size - at < 4) return undefined;
    const length = new DataView(source.read(at, 4).slice().buffer).getUint32(0, true);
    const text = at + 4 + length;
    if (length > MAX_HEAD || text > source.size) return undefined;
    try {
      const head = fromBinary(ipc_msgSchema, source.read(at + 4, length));
      if (missingRequired(ipc_msgSchema, head) !== undefined) return undefined;
      if (padded(head.msize) > source.size - text) return undefined;
      messages.push({ type: head.mtype, text: source.read(text, head.msize).slice() });
      at = text + padded(head.msize);
    } catch {
      return undefined; // the bytes are no message
    }
  }
  return { messages, size: at };
}
