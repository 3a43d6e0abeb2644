/**
 * What a socket has beside what the kernel tells of all sockets: options, peer, queue. Read through a duplicate of
 * its descriptor while its tasks stand still.
 *
 * @module
 */
import type { NoteCall } from "../../core/checkpoint/noted_socket.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { OptionReader, POLL, pollNow } from "../../core/linux/net/socket_options.ts";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import type { unix_peer_entrySchema } from "../../images/gen/sockets_pb.ts";
import { decodePeer, hasManyGroups, PEER_SIZES } from "./identity.ts";
import {
  decodeOptions,
  OPTION_SIZES,
  type SocketOptions,
} from "../../core/checkpoint/socket_options.ts";
import { readFilter } from "../../core/checkpoint/socket_filter.ts";
import { optionProblem } from "./options.ts";
import { findPlace, type SocketPlace } from "./place.ts";
import { countRights, hasUrgent, peekQueue, type QueuedMessage, queueProblem } from "./queue.ts";

/** What is read of a socket. */
export interface SocketState {
  /** Why it cannot be saved: "has a filter of eBPF attached". */
  readonly problem?: string;
  /** What to do about it. */
  readonly hint?: string;
  readonly passing?: boolean;
  readonly options: SocketOptions;
  /** Its filter of classic BPF. */
  readonly filter: readonly bigint[];
  /** The file behind its name. */
  readonly place: SocketPlace;
  /** Who made the other end. */
  readonly peer: MessageInitShape<typeof unix_peer_entrySchema> | undefined;
  /** The peer closed without having read everything: ECONNRESET waits. */
  readonly reset: boolean;
  /** What waits to be received, oldest first. */
  readonly queue: readonly QueuedMessage[];
}

/** Reads what waits in a socket with urgent data; undefined where that cannot be read. */
export type UrgentReader = (fd: number) => QueuedMessage[] | undefined;

/** What to do about something that waits in a queue. */
export const LATER = { hint: "try again when the program has received it", passing: true } as const;

/** What getsockopt(2) tells, most of which the sockets of a program have in common. */
interface Settings {
  readonly options: SocketOptions;
  readonly filter: SocketState["filter"];
  readonly peer: SocketState["peer"];
  /** Why they cannot be saved. */
  readonly problem?: string;
}

let reader: OptionReader | undefined;
/** Those of the socket that was read last. */
let last: Settings | undefined;

function readSettings(fd: number): Settings {
  reader ??= new OptionReader(new Map([...OPTION_SIZES, ...PEER_SIZES]));
  const isSame = reader.read(fd);
  if (isSame && last !== undefined) return last;
  last = undefined;
  const settings = {
    options: decodeOptions(reader),
    filter: readFilter(fd, reader),
    peer: decodePeer(reader, fd),
    problem: optionProblem(reader),
  };
  // What was read has the length of a filter alone.
  if (!hasManyGroups(reader) && settings.filter.length === 0) last = settings;
  return settings;
}

/**
 * Reads a socket.
 *
 * @param fd a duplicate of its descriptor
 * @param note notes how something of the socket is put back
 * @param undo gets what closes the descriptors that lie in its queue
 * @param carried how many of these the kernel says there are
 * @param readUrgent reads what waits where urgent data is among it
 */
export function readState(
  fd: number,
  socket: UnixSocket,
  note: NoteCall,
  undo: DisposableStack,
  carried: number,
  readUrgent: UrgentReader = () => undefined,
): SocketState {
  const { options, filter, peer, problem: option } = readSettings(fd);
  const ready = pollNow(fd);
  const reset = (ready & POLL.ERR) !== 0 && socket.type !== SOCK.DGRAM &&
    socket.shutdown === SHUTDOWN.BOTH;
  const place = findPlace(fd, socket.name);
  const state = { options, filter, place, peer, reset, queue: [] };
  if (place.problem !== undefined) {
    return { ...state, problem: place.problem, hint: "close it before the checkpoint" };
  }
  if (option !== undefined) {
    return { ...state, problem: option, hint: "take it away before the checkpoint" };
  }
  if (socket.state === STATE.LISTEN) return state;
  // Who sent what is not read there.
  if (hasUrgent(ready) && (ready & POLL.ERR) === 0 && options.opts.soPasscred !== true) {
    const queue = readUrgent(fd);
    if (queue !== undefined) return { ...state, queue };
  }
  const problem = queueProblem(socket, ready);
  if (problem !== undefined) return { ...state, problem, ...LATER };
  const queue = peekQueue(fd, socket, ready, note, undo, carried);
  if (queue === undefined) {
    const problem = "has messages behind an error (ECONNRESET), which nobody can read without it";
    return { ...state, problem, ...LATER };
  }
  return { ...state, queue, ...messageProblem(queue, carried) };
}

function messageProblem(
  queue: readonly QueuedMessage[],
  carried: number,
): Pick<SocketState, "problem" | "hint" | "passing"> {
  if (queue.some(({ rightsCut }) => rightsCut)) {
    const problem =
      "has more descriptors of open files in its queue (SCM_RIGHTS) than this tool may have open";
    return { problem, hint: "raise the tool's limit: ulimit -n" };
  }
  // The kernel passes over an empty message that somebody has looked at (`hidden.ts`), and hides what is behind an error.
  if (countRights(queue) < carried) {
    const problem =
      "has descriptors of open files in its queue (SCM_RIGHTS) that cannot be found: they came with an empty message " +
      "that was looked at before (MSG_PEEK, or an earlier checkpoint), or is behind an error";
    return { problem, ...LATER };
  }
  return {};
}
