/**
 * Netlink messages: netlink(7), `include/uapi/linux/netlink.h`. Pure: bytes in, messages out.
 *
 * @module
 */
import { defineStruct } from "../struct.ts";
import { SOCK_CLOEXEC } from "./socket_ffi.ts";

/** struct nlmsghdr. */
export const nlmsghdr = defineStruct("nlmsghdr", 16, {
  /** With this header, in bytes. */
  len: [0, "u32"],
  type: [4, "u16"],
  flags: [6, "u16"],
  seq: [8, "u32"],
  pid: [12, "u32"],
});

/** Message types that every netlink family has. */
export const NLMSG = { ERROR: 2, DONE: 3 } as const;
/** NLM_F_*: DUMP asks for all objects instead of one. */
export const NLM_F = { REQUEST: 1, ACK: 4, DUMP: 0x300, CREATE: 0x400, APPEND: 0x800 } as const;

export const AF_NETLINK = 16;
const SOCK_RAW = 3;

/** What socket(2) takes for a socket of a protocol: NETLINK_*. */
export function netlinkSocket(protocol: number): [family: number, type: number, protocol: number] {
  return [AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol];
}

/** A message without its header. */
export interface NetlinkMessage {
  readonly type: number;
  /** NLM_F_*. */
  readonly flags: number;
  readonly payload: Uint8Array;
}

const align = (length: number): number => (length + 3) & ~3;

/**
 * Takes the messages of one datagram apart.
 *
 * @throws {RangeError} of a length that cannot be
 */
export function parseNetlink(bytes: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.byteLength;) {
    const left = bytes.byteLength - at;
    if (left < nlmsghdr.size) throw new RangeError(`half a netlink message of ${left} bytes`);
    // Not through the description of the structure: there may be thousands.
    const len = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    const flags = view.getUint16(at + 6, true);
    if (len < nlmsghdr.size || at + len > bytes.byteLength) {
      throw new RangeError(`a netlink message of ${len} bytes at ${at} of ${bytes.byteLength}`);
    }
    messages.push({ type, flags, payload: bytes.subarray(at + nlmsghdr.size, at + len) });
    at += align(len);
  }
  return messages;
}

/**
 * Takes the attributes (struct nlattr) of a message apart, by their type. Of a type that is there twice the last
 * one counts.
 *
 * @param at where they begin
 * @throws {RangeError} of a length that cannot be
 */
export function parseAttributes(payload: Uint8Array, at: number): Map<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>();
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  while (at + 4 <= payload.byteLength) {
    const length = view.getUint16(at, true);
    const type = view.getUint16(at + 2, true);
    if (length < 4 || at + length > payload.byteLength) {
      throw new RangeError(`a netlink attribute of ${length} bytes at ${at}`);
    }
    attributes.set(type, payload.subarray(at + 4, at + length));
    at += align(length);
  }
  return attributes;
}
