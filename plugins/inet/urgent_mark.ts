/**
 * The mark that urgent data (MSG_OOB) leaves in what a TCP connection has received: a reader stops at it, and so does
 * whoever looks. What the kernel counts for readers (SIOCINQ) ends there as well, and so neither tells of what has come
 * behind it (tcp_inq() of `include/net/tcp.h`, tcp_recvmsg_locked() of `net/ipv4/tcp.c`); sock_diag(7) does.
 *
 * @module
 */
import { bytesWaiting } from "../../core/linux/fcntl.ts";
import type { InetSocket } from "../../core/linux/net/inet_diag.ts";
import { hasReceivedEnd } from "./tcp_stream.ts";

/**
 * How many bytes a connection has received that no look shows, by a list that was made before: the urgent one, which its
 * program has taken, and those behind it. 0: there is no mark.
 *
 * @param fd a duplicate of its descriptor; nobody may receive from it meanwhile
 * @throws {StasisError} `syscall`
 */
export function bytesBeyondMark(
  fd: number,
  { state, receiveQueue }: Pick<InetSocket, "state" | "receiveQueue">,
): number {
  // The other end's end of data has a number like a byte, and is counted here alone.
  const end = hasReceivedEnd(state) ? 1 : 0;
  return Math.max(0, receiveQueue - end - bytesWaiting(fd));
}

/** What is said of a connection with something behind a mark: the urgent byte itself is no loss. */
export function markProblem(beyond: number): string | undefined {
  return beyond > 1 ? "has data behind a mark of urgent data (MSG_OOB)" : undefined;
}
