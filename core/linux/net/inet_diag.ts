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
/** INET_DIAG_MD5SIG: told to who has CAP_NET_ADMIN, beside INET_DIAG_INFO (tcp_diag_get_aux() of `net/ipv4/tcp_diag.c`). */
const INET_DIAG_MD5SIG = 18;

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
  /** The keys of TCP_MD5SIG, each a struct tcp_diag_md5sig; undefined where there are none, or they are not told. */
  readonly md5Keys?: Uint8Array;
}

const ALL_STATES = 0xffffffff;
/** INET_DIAG_INFO, as a bit of `ext`. */
const WITH_INFO = 1 << 1;

/** Which sockets are asked for; all those of which nothing is said. */
export interface AskedSockets {
  /** States of TCP. */
  readonly states?: readonly number[];
  /** Ports, of either end. No more than {@link MOST_PORTS}: the kernel compares each socket with all of them. */
  readonly ports?: readonly number[];
  /** Whether their keys (TCP_MD5SIG) are asked for, which takes the kernel longer. */
  readonly keys?: boolean;
}

/** More ports than that take the kernel longer than to tell of all sockets. */
export const MOST_PORTS = 32;

/** INET_DIAG_REQ_BYTECODE. */
const BYTECODE = 1;
/** INET_DIAG_BC_JMP, INET_DIAG_BC_S_EQ, INET_DIAG_BC_D_EQ. */
const CODE = { JUMP: 1, SOURCE_IS: 11, TARGET_IS: 12 } as const;

/** A request for sockets of a protocol and family of this network namespace. */
export function inetDiagRequest(
  family: number,
  protocol: number,
  { states, ports, keys = false }: AskedSockets = {},
): Uint8Array {
  const asked = states?.reduce((bits, state) => bits | 1 << state, 0) ?? ALL_STATES;
  const filter = ports === undefined ? new Uint8Array() : portFilter(ports);
  const bytes = new Uint8Array(nlmsghdr.size + request.size + filter.byteLength);
  nlmsghdr.write(bytes, {
    len: bytes.byteLength,
    type: SOCK_DIAG_BY_FAMILY,
    flags: NLM_F.REQUEST | NLM_F.DUMP,
  });
  const ext = keys ? WITH_INFO : 0;
  request.write(bytes, { family, protocol, ext, states: asked }, nlmsghdr.size);
  bytes.set(filter, nlmsghdr.size + request.size);
  return bytes;
}

/**
 * The attribute that has the kernel look at ports: for each a comparison, of two struct inet_diag_bc_op, and behind it a
 * jump to the end. A socket is taken by who gets there, and left out by who gets past it (inet_diag_bc_run() of
 * `net/ipv4/inet_diag.c`).
 */
function portFilter(ports: readonly number[]): Uint8Array {
  const COMPARISON = 8, JUMP = 4, HEAD = 4;
  const comparisons = ports.flatMap((port) => [[CODE.SOURCE_IS, port], [CODE.TARGET_IS, port]]);
  const bytes = new Uint8Array(HEAD + comparisons.length * (COMPARISON + JUMP));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.byteLength, true);
  view.setUint16(2, BYTECODE, true);
  const operation = (at: number, code: number, yes: number, no: number): void => {
    view.setUint8(at, code);
    view.setUint8(at + 1, yes);
    view.setUint16(at + 2, no, true);
  };
  comparisons.forEach(([code = 0, port = 0], index) => {
    const at = HEAD + index * (COMPARISON + JUMP);
    const isLast = index === comparisons.length - 1;
    operation(at, code, COMPARISON, COMPARISON + JUMP + (isLast ? 4 : 0));
    operation(at + 4, 0, 0, port);
    operation(at + COMPARISON, CODE.JUMP, JUMP, bytes.byteLength - at - COMPARISON);
  });
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
  const attributes = parseAttributes(payload, MESSAGE.SIZE);
  const md5Keys = attributes.get(INET_DIAG_MD5SIG)?.slice();
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
    shutdown: attributes.get(INET_DIAG_SHUTDOWN)?.[0] ?? 0,
    ...md5Keys === undefined ? {} : { md5Keys },
  };
}
