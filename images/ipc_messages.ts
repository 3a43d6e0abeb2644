/**
 * The messages of a System V queue as they follow its entry in `ipcns-msg-*.img`: frames of `ipc_msg`, each
 * followed by the text, padded to 8 bytes.
 *
 * @module
 */

import { create, fromBinary } from "@bufbuild/protobuf";
import { concat, encodeMessage } from "./codec.ts";
import { ipc_msgSchema } from "./gen/ipc-msg_pb.ts";
import { missingRequired } from "./required.ts";

/** A message in a queue, as msgsnd(2) takes it. */
export interface IpcMessage {
  /** Its type. */
  readonly type: bigint;
  /** Its text. */
  readonly text: Uint8Array;
}

/** Makes the extra of an `ipc_msg_entry`, whose `qnum` is the number of messages. */
export function encodeIpcMessages(messages: readonly IpcMessage[]): Uint8Array {
  return concat(messages.flatMap(({ type, text }) => [
    encodeMessage(
      "IPCNS_MSG",
      ipc_msgSchema,
      create(ipc_msgSchema, { mtype: type, msize: text.length }),
    ),
    text,
    new Uint8Array(-text.length & 7),
  ]));
}

/**
 * Reads the extra of an `ipc_msg_entry`.
 *
 * @param bytes The bytes behind the entry; more may follow.
 * @param count `qnum` of the entry.
 * @returns The messages and how many bytes they take, or undefined where the bytes are not that many messages.
 */
export function decodeIpcMessages(
  bytes: Uint8Array,
  count: number,
): { readonly messages: IpcMessage[]; readonly length: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: IpcMessage[] = [];
  let at = 0;
  while (messages.length < count) {
    if (bytes.length - at < 4) return undefined;
    const start = at + 4 + view.getUint32(at, true);
    if (start > bytes.length) return undefined;
    try {
      const message = fromBinary(ipc_msgSchema, bytes.subarray(at + 4, start));
      if (missingRequired(ipc_msgSchema, message) !== undefined) return undefined;
      const end = start + message.msize;
      at = end + (-message.msize & 7);
      if (at > bytes.length) return undefined;
      messages.push({ type: message.mtype, text: bytes.subarray(start, end) });
    } catch {
      return undefined; // the bytes are no message
    }
  }
  return { messages, length: at };
}

/** How many bytes follow an `ipc_msg_entry`. */
export function messagesLength(
  queue: { readonly qnum: number },
  rest: Uint8Array,
): number | undefined {
  return decodeIpcMessages(rest, queue.qnum)?.length;
}
