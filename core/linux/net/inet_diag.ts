/**
 * What the kernel tells of internet sockets: sock_diag(7), `include/uapi/linux/inet_diag.h`. Pure: a request's bytes,
 * and what an answer says.
 *
 * @module
 */
import { NLM_F, nlmsghdr, parseAttributes } from "./netlink.ts";
import { defineStruct } from "../struct.ts";
import { SOCK_DIAG_BY_FAMILY } from "./unix_diag.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;

/** IPPROTO_* (`include/uapi/linux/in.h`). */
export const IPPROTO = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, UDPLITE: 136, RAW: 255 } as const;

/** States of a TCP socket (`include/net/tcp_states.h`); others are ESTABLISHED where connected, and CLOSE. */
export const TCP = {
  ESTABLISHED: 1,
  SYN_SENT: 2,
  SYN_RECV: 3,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  TIME_WAIT: 6,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
  NEW_SYN_RECV: 12,
  /** Bound, and neither listening nor connected; told by Linux 6.8 and later. */
  BOUND_INACTIVE: 13,
} as const;

/** struct inet_diag_req_v2, with a struct inet_diag_sockid of zeros. */
const request = defineStruct("inet_diag_req_v2", 56, {
  family: [0, "u8"],
  protocol: [1, "u8"],
  ext: [2, "u8"],
  states: [4, "u32"],
});

/** Where the parts of a struct inet_diag_msg lie; its ports are big-endian. */
const MESSAGE = {
  FAMILY: 0,
  STATE: 1,
  SOURCE_PORT: 4,
  TARGET_PORT: 6,
  SOURCE: 8,
  TARGET: 24,
  INTERFACE: 40,
  RECEIVE_QUEUE: 56,
  SEND_QUEUE: 60,
  INODE: 68,
  SIZE: 72,
} as const;
/** INET_DIAG_SHUTDOWN: bits of sk_shutdown. It is in every answer. */
const INET_DIAG_SHUTDOWN = 8;

/** An end of a connection. */
export interface InetEnd {
  /** Of 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** An internet socket, as the kernel tells it. */
export interface InetSocket {
  /** The inode: that of `socket:[INODE]`; 0: nobody has a descriptor of it. */
  readonly ino: number;
  readonly family: number;
  /** One of TCP. */
  readonly state: number;
  readonly source: InetEnd;
  readonly target: InetEnd;
  /** The number of the interface that it is bound to (SO_BINDTODEVICE); 0: none. */
  readonly device: number;
  /** Bytes to be received; of a listening one how many wait to be accepted. */
  readonly receiveQueue: number;
  /** Bytes that were not acknowledged; of a listening one the backlog. */
  readonly sendQueue: number;
  /** Which directions are shut down: 1 receiving, 2 sending. */
  readonly shutdown: number;
}

const ALL_STATES = 0xffffffff;

/**
 * A request for all sockets of a protocol and family of this network namespace.
 *
 * @param states those of TCP that are asked for; all
 */
export function inetDiagRequest(
  family: number,
  protocol: number,
  states?: readonly number[],
): Uint8Array {
  const asked = states?.reduce((bits, state) => bits | 1 << state, 0) ?? ALL_STATES;
  const bytes = new Uint8Array(nlmsghdr.size + request.size);
  nlmsghdr.write(bytes, {
    len: bytes.byteLength,
    type: SOCK_DIAG_BY_FAMILY,
    flags: NLM_F.REQUEST | NLM_F.DUMP,
  });
  request.write(bytes, {
    family,
    protocol,
    states: asked,
  }, nlmsghdr.size);
  return bytes;
}

/**
 * Reads one answer.
 *
 * @param payload the message without its header
 * @throws {RangeError} of one that is too short
 */
export function parseInetSocket(payload: Uint8Array): InetSocket {
  if (payload.byteLength < MESSAGE.SIZE) {
    throw new RangeError(`an inet_diag_msg of ${payload.byteLength} bytes`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const family = view.getUint8(MESSAGE.FAMILY);
  const size = family === AF_INET ? 4 : 16;
  const end = (address: number, port: number): InetEnd => ({
    address: payload.slice(address, address + size),
    port: view.getUint16(port),
  });
  return {
    ino: view.getUint32(MESSAGE.INODE, true),
    family,
    state: view.getUint8(MESSAGE.STATE),
    source: end(MESSAGE.SOURCE, MESSAGE.SOURCE_PORT),
    target: end(MESSAGE.TARGET, MESSAGE.TARGET_PORT),
    device: view.getUint32(MESSAGE.INTERFACE, true),
    receiveQueue: view.getUint32(MESSAGE.RECEIVE_QUEUE, true),
    sendQueue: view.getUint32(MESSAGE.SEND_QUEUE, true),
    shutdown: parseAttributes(payload, MESSAGE.SIZE).get(INET_DIAG_SHUTDOWN)?.[0] ?? 0,
  };
}
