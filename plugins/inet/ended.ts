/**
 * TCP connections that are over, as they were reset or given up, and that still have something for their program: the
 * error, which it has not been told of, and what it has not read. Whoever asks for the error takes it away
 * (sock_error() of `include/net/sock.h`), so it is read out of the kernel's memory.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { NoteCall } from "../../core/checkpoint/noted_socket.ts";
import { Errno } from "../../core/linux/errno.ts";
import { bytesWaiting } from "../../core/linux/fcntl.ts";
import { TCP } from "../../core/linux/net/inet_diag.ts";
import { POLL } from "../../core/linux/net/socket_options.ts";
import type { KernelSockets } from "./kernel_sockets.ts";
import type { TcpInfo } from "./tcp_info.ts";
import { peekReceived } from "./tcp_stream.ts";

/** What is left of a connection. */
export interface EndedConnection {
  /** The errno that its program has not been told of; 0: it has. */
  readonly error: number;
  /** Whether the other end's end of data had come before. */
  readonly end: boolean;
  readonly received: Uint8Array;
}

/**
 * Whether a connection can be made to end so: reset before and after the end of data (tcp_reset() of
 * `net/ipv4/tcp_input.c`), refused, or given up as nothing was acknowledged.
 */
export function canEndSo({ error, end, received }: EndedConnection): boolean {
  switch (error) {
    case 0:
      return received.byteLength > 0;
    case Errno.ECONNRESET:
      return !end;
    case Errno.EPIPE:
      return end;
    case Errno.ETIMEDOUT:
      return true;
    case Errno.ECONNREFUSED:
      return !end && received.byteLength === 0;
    default:
      return false;
  }
}

/**
 * Reads what is left of a connection.
 *
 * @param fd a duplicate of its descriptor; nobody may receive from it meanwhile
 * @param ready what poll(2) says of it
 * @param kernel opens what reads the kernel's memory
 * @param note notes how SO_PEEK_OFF is put back
 * @returns undefined where nothing is, where it cannot be read, and where it cannot be made again
 */
export function readEnded(
  fd: number,
  ready: number,
  { state }: TcpInfo,
  kernel: () => KernelSockets | undefined,
  note: NoteCall,
): EndedConnection | undefined {
  if (state !== TCP.CLOSE || (ready & POLL.PRI) !== 0) return undefined;
  if ((ready & POLL.ERR) === 0 && bytesWaiting(fd) === 0) return undefined;
  try {
    const found = kernel()?.endOf(fd);
    if (found === undefined) return undefined;
    const { error, end, waiting } = found;
    // To look where nothing waits would take the error away.
    const shown = waiting > 0 && bytesWaiting(fd) > 0;
    const received = shown ? peekReceived(fd, waiting, note) : new Uint8Array(0);
    const ended = { error, end, received };
    // Where urgent data was, no look shows what is behind it.
    return received.byteLength === waiting && canEndSo(ended) ? ended : undefined;
  } catch (error) {
    if (error instanceof StasisError && error.code === "unsupported") return undefined;
    throw error;
  }
}
