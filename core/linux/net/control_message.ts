/**
 * Control messages: what comes beside the bytes of a message from a socket, cmsg(3). Pure.
 *
 * @module
 */
import { defineStruct } from "../struct.ts";

/** struct cmsghdr; the data lie behind it. */
export const cmsghdr = defineStruct("cmsghdr", 16, {
  /** With this header, in bytes. */
  len: [0, "u64"],
  level: [8, "i32"],
  type: [12, "i32"],
});

/** struct ucred. */
export const ucred = defineStruct("ucred", 12, {
  pid: [0, "i32"],
  uid: [4, "u32"],
  gid: [8, "u32"],
});

/** Types of control messages of level SOL_SOCKET (`include/linux/socket.h`). */
export const SCM = {
  /** Descriptors. */
  RIGHTS: 1,
  /** Who sent it: a {@link ucred}. */
  CREDENTIALS: 2,
  /** A label of a security module. */
  SECURITY: 3,
  /** A descriptor of the sender's process (6.5). */
  PIDFD: 4,
} as const;

/** One control message. */
export interface ControlMessage {
  readonly level: number;
  readonly type: number;
  readonly data: Uint8Array;
}

/** Takes control messages apart; what is cut short at the end counts for what is there. */
export function parseControl(bytes: Uint8Array): ControlMessage[] {
  const messages: ControlMessage[] = [];
  for (let at = 0; at + cmsghdr.size <= bytes.byteLength;) {
    const { len, level, type } = cmsghdr.read(bytes, at);
    if (len < BigInt(cmsghdr.size)) break;
    const end = Math.min(at + Number(len), bytes.byteLength);
    messages.push({ level, type, data: bytes.slice(at + cmsghdr.size, end) });
    at += (Number(len) + 7) & ~7;
  }
  return messages;
}

/** The descriptors of this process that came with a message: the receiver has to close them. */
export function receivedDescriptors(messages: readonly ControlMessage[]): number[] {
  return messages.filter(({ type }) => type === SCM.RIGHTS || type === SCM.PIDFD)
    .flatMap(({ data }) => [...new Int32Array(data.buffer, 0, data.byteLength >> 2)]);
}
