/**
 * What the kernel tells of unix sockets: sock_diag(7), `include/uapi/linux/unix_diag.h`. Pure: a request's bytes,
 * and what an answer says.
 *
 * @module
 */
import { NLM_F, nlmsghdr, parseAttributes } from "./netlink.ts";
import { defineStruct } from "../struct.ts";

/** `include/uapi/linux/sock_diag.h`. */
export const SOCK_DIAG_BY_FAMILY = 20;

const AF_UNIX = 1;

/** Type of a socket (`include/linux/net.h`). */
export const SOCK = { STREAM: 1, DGRAM: 2, SEQPACKET: 5 } as const;

/** States of a unix socket, by the names of TCP's (`include/net/tcp_states.h`). */
export const STATE = {
  /** It has a peer, or had one that is closed. */
  ESTABLISHED: 1,
  /** It has none. */
  CLOSE: 7,
  LISTEN: 10,
} as const;

/** Bits of `sk_shutdown` (`include/net/sock.h`). */
export const SHUTDOWN = { RECEIVE: 1, SEND: 2, BOTH: 3 } as const;

/** struct unix_diag_req. */
const unixDiagRequestStruct = defineStruct("unix_diag_req", 24, {
  family: [0, "u8"],
  protocol: [1, "u8"],
  states: [4, "u32"],
  ino: [8, "u32"],
  show: [12, "u32"],
});

/** struct unix_diag_msg. */
const unixDiagMessage = defineStruct("unix_diag_msg", 16, {
  family: [0, "u8"],
  type: [1, "u8"],
  state: [2, "u8"],
  ino: [4, "u32"],
});

/** UDIAG_SHOW_*. */
const SHOW = { NAME: 1, VFS: 2, PEER: 4, ICONS: 8, RQLEN: 0x10 } as const;
/** UNIX_DIAG_*: attributes of an answer. */
const ATTRIBUTE = { NAME: 0, VFS: 1, PEER: 2, ICONS: 3, RQLEN: 4, SHUTDOWN: 6 } as const;

/** A unix socket, as the kernel tells it. */
export interface UnixSocket {
  /** The inode: that of `socket:[INODE]`. */
  readonly ino: number;
  /** One of SOCK. */
  readonly type: number;
  /** One of STATE. */
  readonly state: number;
  /** The name that it is bound to, or got from the listening socket: a path, or bytes behind a zero; empty: none. */
  readonly name: Uint8Array;
  /** The file behind a path; absent where the name is no path. */
  readonly file?: { readonly dev: number; readonly ino: number };
  /**
   * The inode of its peer; 0: one that is closed or not accepted yet; absent: it never had one.
   */
  readonly peer?: number;
  /** Of a listening one: the inodes of those that wait to be accepted; 0 for one that is closed meanwhile. */
  readonly waiting: readonly number[];
  /** Bytes to be received; of a listening one how many wait to be accepted. */
  readonly receiveQueue: number;
  /** What was sent and not received yet, in bytes as the kernel counts them; of a listening one the backlog. */
  readonly sendQueue: number;
  /** Which directions are shut down: bits of SHUTDOWN. */
  readonly shutdown: number;
}

/** A request for all unix sockets of this network namespace. */
export function unixDiagRequest(): Uint8Array {
  const bytes = new Uint8Array(nlmsghdr.size + unixDiagRequestStruct.size);
  nlmsghdr.write(bytes, {
    len: bytes.byteLength,
    type: SOCK_DIAG_BY_FAMILY,
    flags: NLM_F.REQUEST | NLM_F.DUMP,
  });
  const show = SHOW.NAME | SHOW.VFS | SHOW.PEER | SHOW.ICONS | SHOW.RQLEN;
  unixDiagRequestStruct.write(
    bytes,
    { family: AF_UNIX, states: 0xffffffff, show },
    nlmsghdr.size,
  );
  return bytes;
}

/**
 * Reads one answer.
 *
 * @param payload the message without its header
 * @throws {RangeError} of one that is too short
 */
export function parseUnixSocket(payload: Uint8Array): UnixSocket {
  if (payload.byteLength < unixDiagMessage.size) {
    throw new RangeError(`a unix_diag_msg of ${payload.byteLength} bytes`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const attributes = parseAttributes(payload, unixDiagMessage.size);
  /** A word of an attribute; undefined where it has none. */
  const word = (bytes: Uint8Array | undefined, index: number): number | undefined =>
    bytes !== undefined && bytes.byteLength >= 4 * (index + 1)
      ? view.getUint32(bytes.byteOffset - payload.byteOffset + 4 * index, true)
      : undefined;
  const vfs = attributes.get(ATTRIBUTE.VFS);
  const [ino, dev] = [word(vfs, 0), word(vfs, 1)];
  const lengths = attributes.get(ATTRIBUTE.RQLEN);
  const icons = attributes.get(ATTRIBUTE.ICONS);
  const waiting: number[] = [];
  for (let at = 0, one = word(icons, 0); one !== undefined; one = word(icons, ++at)) {
    waiting.push(one);
  }
  return {
    // struct unix_diag_msg.
    ino: view.getUint32(4, true),
    type: view.getUint8(1),
    state: view.getUint8(2),
    name: attributes.get(ATTRIBUTE.NAME)?.slice() ?? NO_NAME,
    // struct unix_diag_vfs: the inode, then the device as the kernel keeps it.
    file: ino === undefined || dev === undefined ? undefined : { ino, dev },
    peer: word(attributes.get(ATTRIBUTE.PEER), 0),
    waiting,
    receiveQueue: word(lengths, 0) ?? 0,
    sendQueue: word(lengths, 1) ?? 0,
    shutdown: attributes.get(ATTRIBUTE.SHUTDOWN)?.[0] ?? 0,
  };
}

const NO_NAME = new Uint8Array(0);
