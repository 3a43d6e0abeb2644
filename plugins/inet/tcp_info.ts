/**
 * What TCP_INFO says of a socket (`struct tcp_info` of `include/uapi/linux/tcp.h`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { TCP } from "../../core/linux/net/inet_diag.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { SOL, TCP_OPTION } from "./option_lists.ts";

/** What is needed of it. */
export interface TcpInfo {
  /** One of TCP. */
  readonly state: number;
  /** Bits of TCPI_OPT. */
  readonly options: number;
  /** The window scales of the other end and its own. */
  readonly sendScale: number;
  readonly receiveScale: number;
  /** Of a listening one: how many wait to be accepted, and how many may. */
  readonly waiting: number;
  readonly backlog: number;
}

/** TCPI_OPT_*. */
export const TCPI_OPT = { TIMESTAMPS: 1, SACK: 2, WSCALE: 4 } as const;

const SIZE = 104;
const bytes = new Uint8Array(SIZE);
const length = new Uint8Array(4);

/** Reads it. @throws {StasisError} `syscall` */
export function readTcpInfo(fd: number): TcpInfo {
  new DataView(length.buffer).setUint32(0, SIZE, true);
  const result = syscall(SYSCALLS.getsockopt, fd, SOL.TCP, TCP_OPTION.INFO, bytes, length);
  if (isErrno(result)) {
    const errno = errnoName(-result);
    throw new StasisError("syscall", `getsockopt(${fd}, TCP_INFO) failed: ${errno}`, { errno });
  }
  return decodeTcpInfo(bytes);
}

/** Reads a struct tcp_info. Pure. */
export function decodeTcpInfo(bytes: Uint8Array): TcpInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const scales = view.getUint8(6);
  return {
    state: view.getUint8(0),
    options: view.getUint8(5),
    sendScale: scales & 0xf,
    receiveScale: scales >>> 4,
    // tcpi_unacked and tcpi_sacked have another meaning in a listening socket.
    waiting: view.getUint32(24, true),
    backlog: view.getUint32(28, true),
  };
}

/** Whether a socket of this state is a connection: not closed, nor listening. */
export function isConnection(state: number): boolean {
  return state !== TCP.CLOSE && state !== TCP.LISTEN;
}

/**
 * Whether it has numbers and queues that are to be saved: one that is being made is made anew, and one that is half made
 * (SYN_RECV: both ends have begun it, or it was accepted by TCP_FASTOPEN) is refused.
 */
export function hasStream(state: number): boolean {
  return isConnection(state) && state !== TCP.SYN_SENT && state !== TCP.SYN_RECV;
}
