/**
 * Another look at the TCP sockets of a tree that stands still, when nothing can reach those any more whose packets are
 * held back: by then they may have changed since the survey, as the kernel goes on with connections by itself.
 *
 * @module
 */
import { type Problem, StasisError } from "../../base/errors.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { type InetSocket, IPPROTO, TCP } from "../../core/linux/net/inet_diag.ts";
import { readInetSockets } from "../../core/linux/net/sock_diag.ts";
import { POLL, pollNow } from "../../core/linux/net/socket_options.ts";
import type { OperationOptions } from "../../core/plugin.ts";
import type { Stream } from "./connections.ts";
import { eachTaken, inodeOf } from "../../core/checkpoint/each_taken.ts";
import { type SocketState, tcpProblem } from "./state.ts";
import type { Surroundings } from "./survey.ts";
import { hasStream, readTcpInfo } from "./tcp_info.ts";
import { bytesBeyondMark, markProblem } from "./urgent_mark.ts";

/** What the survey has seen of the sockets of a tree. */
export interface SeenSockets {
  /** One descriptor of each, by inode. */
  readonly descriptors: ReadonlyMap<number, Descriptor>;
  readonly states: ReadonlyMap<number, SocketState>;
  readonly surroundings: Pick<Surroundings, "waiting">;
}

/**
 * @param streams what has been read of connections
 * @throws {StasisError} `unsupported` where one has changed so that it is not what is saved
 */
export function lookAgain(
  { descriptors, states, surroundings: { waiting: { atListener } } }: SeenSockets,
  streams: ReadonlyMap<number, Stream>,
  { tcpClose, skipInFlight, leaveRunning }: OperationOptions,
): void {
  const problems: Problem[] = [];
  const looked = [...descriptors.values()].filter((descriptor) => {
    const state = states.get(inodeOf(descriptor))?.info?.state;
    // Those that are to be closed, or are, may do what they like.
    return state !== undefined && !(tcpClose === true && state !== TCP.LISTEN);
  });
  const marked = listMarked(states);
  eachTaken(looked, (descriptor, fd) => {
    const { pid } = descriptor;
    const ino = inodeOf(descriptor);
    const stream = streams.get(ino);
    const isRead = states.get(ino)?.ended !== undefined;
    const before = stream?.sent.info ?? states.get(ino)?.info;
    const info = readTcpInfo(fd);
    const waits = info.state === TCP.LISTEN && skipInFlight !== true && leaveRunning !== true &&
      info.waiting > (tcpClose === true ? 0 : atListener.get(ino) ?? 0);
    const listed = marked.get(ino);
    const isUrgentRead = stream?.received.mark !== undefined;
    const ready = isUrgentRead ? pollNow(fd) & ~POLL.PRI : pollNow(fd);
    const what = tcpProblem(fd, ready, info, isRead).problem ??
      (listed === undefined || isUrgentRead
        ? undefined
        : markProblem(bytesBeyondMark(fd, listed))) ??
      (waits ? "has connections that wait to be accepted" : undefined) ??
      (isChanged(before?.state, info.state, stream !== undefined) ? "has been closed" : undefined);
    if (what === undefined) return;
    problems.push({
      plugin: "inet",
      pid,
      what: `its descriptor ${descriptor.fd} (socket:[${ino}]) is a TCP socket that ${what} ` +
        "since the tree stands still",
      hint: "try again",
      passing: true,
    });
  });
  if (problems.length === 0) return;
  throw new StasisError("unsupported", "sockets of the tree have changed while it was looked at", {
    problems,
    hint: "it runs on as it was: try again",
  });
}

/** What the kernel says by now of the connections in which there is a mark, by inode: something may have come behind it. */
function listMarked(states: SeenSockets["states"]): ReadonlyMap<number, InetSocket> {
  const isMarked = [...states.values()].some(({ hasMark }) => hasMark === true);
  if (!isMarked) return new Map();
  const { byInode } = readInetSockets(IPPROTO.TCP);
  return new Map([...byInode].filter(([ino]) => states.get(ino)?.hasMark === true));
}

/** Whether a socket is in a state that is not what is saved of it. @param isRead whether as a connection */
export function isChanged(before: number | undefined, now: number, isRead: boolean): boolean {
  // One that has been read may go on within its tree, as what is on its way arrives.
  if (isRead) return before === undefined || !hasStream(before) || !hasStream(now);
  return before !== now;
}
