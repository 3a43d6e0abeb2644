/**
 * One look at all unix sockets of a tree: what is read of each, and what stands against saving them.
 *
 * @module
 */
import { noteWith } from "../../core/checkpoint/noted_socket.ts";
import { MOST_TAKEN, TakenDescriptors } from "../../core/checkpoint/taken_descriptors.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import type { Problem } from "../../base/errors.ts";
import { openThreadPidfd } from "../../core/linux/pidfd.ts";
import { nameOf } from "../../core/linux/procfs/mod.ts";
import { SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import type { Rescuer } from "../../core/remote/undo.ts";
import { CostMeter, hiddenMessages, mayCut } from "./hidden.ts";
import { commonIdentity } from "./holders.ts";
import { isUnknown, type QueuedMessage } from "./queue.ts";
import { LATER, readState, type SocketState, type UrgentReader } from "./state.ts";
import { senderProblem, type Surroundings } from "./survey.ts";
import { leadsTo } from "./taken.ts";

/** The sockets of the tree at one look. */
export interface Look {
  readonly surroundings: Surroundings;
  /** What is read of each when the tree stands still. */
  readonly states: ReadonlyMap<number, SocketState>;
  /** Of those with descriptors in their queues: what came with each message. */
  readonly rights: ReadonlyMap<number, readonly (readonly Descriptor[])[]>;
  readonly tasks: readonly Task[];
  /** The tasks that have each, or a socket in whose queue it lies. */
  readonly holders: ReadonlyMap<number, readonly Task[]>;
  /** Those whose problem has been told: one that many tasks have is told once. */
  readonly told: Set<number>;
}

/** Before anything was looked at. */
export const NOTHING: Look = {
  surroundings: {
    sockets: new Map(),
    inside: new Set(),
    waiting: new Map(),
    skipsWaiting: false,
    acceptsLater: false,
    accepts: false,
    stands: false,
    isNew: () => false,
    reconnects: false,
    sent: new Map(),
    mayRead: false,
    hidden: false,
    holders: () => [],
    senders: { inside: new Set(), taken: new Set(), partners: new Map() },
    leadsTo,
    nameOf,
  },
  states: new Map(),
  rights: new Map(),
  tasks: [],
  holders: new Map(),
  told: new Set(),
};

/**
 * Reads the sockets themselves, through duplicates of the descriptors.
 *
 * @param undo what is found in flight in their queues is closed by it
 * @param readUrgent reads what waits in one with urgent data
 */
export function readStates(
  descriptors: ReadonlyMap<number, Descriptor>,
  sockets: ReadonlyMap<number, UnixSocket>,
  rescuer: Pick<Rescuer, "noteOutside">,
  undo: DisposableStack,
  readUrgent?: UrgentReader,
): Map<number, SocketState> {
  const states = new Map<number, SocketState>();
  const byTask = Map.groupBy(descriptors.values(), ({ pid }) => pid);
  for (const [pid, own] of byTask) {
    using pidfd = openThreadPidfd(own[0]?.liveTid ?? pid, pid);
    for (let from = 0; from < own.length; from += MOST_TAKEN) {
      const part = own.slice(from, from + MOST_TAKEN);
      using taken = new TakenDescriptors(pidfd, pid, part);
      for (const [index, descriptor] of part.entries()) {
        const ino = inodeOf(descriptor);
        const socket = sockets.get(ino);
        if (socket === undefined) continue;
        const note = noteWith(rescuer, descriptor);
        const carried = descriptor.info.scmFds ?? 0;
        states.set(ino, readState(taken.fd(index), socket, note, undo, carried, readUrgent));
      }
    }
  }
  return states;
}

/** What only a look at the socket itself tells. */
export function stateProblem(
  fd: number,
  ino: number,
  { states, rights, surroundings, holders, tasks }: Look,
): Omit<Problem, "plugin" | "pid"> | undefined {
  const state = states.get(ino);
  const socket = surroundings.sockets.get(ino);
  if (state === undefined || socket === undefined) return undefined;
  const what = (text: string): string =>
    `its descriptor ${fd} (socket:[${ino}]) is a unix socket that ${text}`;
  if (state.problem !== undefined) {
    return { what: what(state.problem), hint: state.hint, passing: state.passing };
  }
  if (!rights.has(ino) && state.queue.some((message) => message.rights.length > 0)) {
    return {
      what: what(
        "has just been sent descriptors of open files from outside of the tree (SCM_RIGHTS)",
      ),
      hint: "try again",
      passing: true,
    };
  }
  const stranger = strangeSender(state.queue, tasks);
  if (stranger !== undefined) {
    return {
      what: what(
        `has a message in its queue from task ${stranger}, which is gone or of another pid namespace, and asks for the sender (SO_PASSCRED)`,
      ),
      ...LATER,
    };
  }
  const sender = senderProblem(socket, state.queue.map(({ from }) => from), surroundings);
  if (sender !== undefined) return { what: what(sender), ...LATER };
  const outside = outsidePeer(ino, surroundings);
  if (outside !== undefined && socket.type !== SOCK.DGRAM && state.queue.length > 0) {
    return {
      what: what(
        "has something in its queue from outside of the tree, which nobody can send again",
      ),
      ...LATER,
    };
  }
  const waits = surroundings.waiting.has(ino);
  if (waits && commonIdentity(holders.get(ino) ?? []) === undefined) {
    return {
      what: what(
        "waits to be accepted, and is held by different users: who connected it is not known",
      ),
      hint: "try again when the program has accepted it",
    };
  }
  return undefined;
}

/** The socket outside of the tree to whose name one is to be connected again. */
export function outsidePeer(
  ino: number,
  { sockets, inside }: Surroundings,
): UnixSocket | undefined {
  const peer = sockets.get(ino)?.peer ?? 0;
  return inside.has(peer) ? undefined : sockets.get(peer);
}

/** The sender of a message, of which its receiver is told, in whose name nobody can send again. */
function strangeSender(
  queue: readonly QueuedMessage[],
  tree: readonly Task[],
): number | undefined {
  const pids = new Set(tree.map(({ pid }) => pid));
  const strangers = queue.flatMap(({ sender }) =>
    sender === undefined || isUnknown(sender) || pids.has(sender.pid) ? [] : sender.pid
  );
  if (strangers.length === 0) return undefined;
  // Another one has the id of one that is gone by now; or it is none of this namespace.
  const threads = new Set(tree.flatMap(({ threads }) => threads));
  return strangers.find((pid) => pid <= 0 || threads.has(pid));
}

/** Whether some sockets of the tree hold messages that were not found. */
export function missesMessages(
  sockets: ReadonlyMap<number, UnixSocket>,
  states: ReadonlyMap<number, SocketState>,
  sentTo: Surroundings["sent"],
): boolean {
  let sent = 0;
  const lengths: number[] = [];
  for (const [ino, { queue, problem, filter }] of states) {
    // What cannot be read cannot be counted, nor what has been cut.
    if (problem !== undefined || mayCut(filter)) return false;
    const socket = sockets.get(ino);
    if (socket === undefined || socket.type === SOCK.STREAM) continue;
    socket.waiting.forEach((client, place) => {
      if (!states.has(client)) return;
      for (const { byteLength } of sentTo.get(ino)?.[place] ?? []) lengths.push(byteLength);
    });
    if (socket.state !== STATE.LISTEN) sent += socket.sendQueue;
    for (const { bytes } of queue) lengths.push(bytes.byteLength);
  }
  if (sent === 0) return false;
  using meter = new CostMeter();
  return hiddenMessages(sent, lengths, (length) => meter.costOf(length)) > 0;
}

/** The inode of the socket that a descriptor leads to. */
export function inodeOf({ link }: Descriptor): number {
  return Number(link.inode ?? 0n);
}

/** What a link in `/proc/PID/fd` says of a socket. */
export function linkText(ino: number): string {
  return `socket:[${ino}]`;
}
