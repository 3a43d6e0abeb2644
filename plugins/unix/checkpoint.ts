/**
 * The checkpoint's hooks of the plugin `unix`.
 *
 * @module
 */
import {
  isDeadEnd,
  isNamedExternal,
  outsideHolders,
} from "../../core/checkpoint/outside_holders.ts";
import { mayHaveInFlight } from "../../core/checkpoint/in_flight.ts";
import { noteWith } from "../../core/checkpoint/noted_socket.ts";
import { MOST_TAKEN, TakenDescriptors } from "../../core/checkpoint/taken_descriptors.ts";
import { descriptorIds } from "../../core/checkpoint/descriptor_ids.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { type Problem, StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { SCM } from "../../core/linux/net/control_message.ts";
import { openThreadPidfd } from "../../core/linux/pidfd.ts";
import { nameOf, readSocketProtocol } from "../../core/linux/procfs/mod.ts";
import { readUnixSockets } from "../../core/linux/net/sock_diag.ts";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  DescriptorDump,
  FileImage,
} from "../../core/plugin.ts";
import type { Rescuer } from "../../core/remote/undo.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { NO_OWNER } from "../../images/fown.ts";
import { SK_QUEUES } from "../../images/kinds/files.ts";
import { UNIX_EXTRA } from "../../images/kinds/unix_extra.ts";
import { CostMeter, hiddenMessages, mayCut } from "./hidden.ts";
import { commonIdentity } from "./holders.ts";
import { isUnknown, type QueuedMessage } from "./queue.ts";
import { UNIX_EXTERN } from "./group.ts";
import { LATER, readState, type SocketState } from "./state.ts";
import {
  findSenders,
  findWaiting,
  senderProblem,
  socketProblem,
  type Surroundings,
} from "./survey.ts";
import { nameKey } from "./name.ts";
import { leadsTo } from "./taken.ts";

/** The sockets of the tree at one look. */
interface Look {
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

const NOTHING: Look = {
  surroundings: {
    sockets: new Map(),
    inside: new Set(),
    waiting: new Map(),
    skipsWaiting: false,
    acceptsLater: false,
    accepts: false,
    isNew: () => false,
    reconnects: false,
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

/** The hooks of one checkpoint. */
export function checkpointUnix(session: CheckpointSession): CheckpointHooks {
  const { writer, options } = session;
  const outside = outsideHolders(writer);
  const protocols = new Map<string, string>();
  const noted = new Set<number>();
  let seen = NOTHING;
  /** Whether the program has accepted what waited, just before it was stopped. */
  let accepts = false;
  /** Sockets with descriptors in their queues, which are written when all files have ids. */
  const carriers: { readonly id: number; readonly ino: number }[] = [];

  const isUnix = (descriptor: Descriptor): boolean => {
    if (descriptor.link.kind !== "socket") return false;
    const { text } = descriptor.link;
    let protocol = protocols.get(text);
    if (protocol === undefined) {
      protocol = readSocketProtocol(descriptor.liveTid, descriptor.fd);
      if (protocol === undefined) return false;
      protocols.set(text, protocol);
    }
    return protocol.startsWith("UNIX");
  };
  const claims = (descriptor: Descriptor): boolean =>
    isUnix(descriptor) && !isNamedExternal(options, descriptor);

  /** What was read of sockets with descriptors in their queues, before the survey of the tree that stands still. */
  const read = new Map<number, SocketState>();
  /** What is in flight in the queue of each: of each message what came with it. */
  const rights = new Map<number, readonly Descriptor[][]>();

  const unread = (descriptors: ReadonlyMap<number, Descriptor>) =>
    new Map([...descriptors].filter(([ino]) => !read.has(ino)));

  return {
    findInFlight(descriptors, rescuer) {
      const carrying = new Map<number, Descriptor>();
      for (const descriptor of descriptors) {
        if ((descriptor.info.scmFds ?? 0) === 0 || !claims(descriptor)) continue;
        const ino = inodeOf(descriptor);
        if (!read.has(ino)) carrying.set(ino, descriptor);
      }
      if (carrying.size === 0) return [];
      const sockets = readUnixSockets(carrying.keys());
      using undo = new DisposableStack();
      const states = readStates(carrying, sockets, rescuer, undo);
      // Whoever called has them from here on.
      undo.move();
      return [...states].flatMap(([ino, state]) => {
        read.set(ino, state);
        const came = state.queue.map((): Descriptor[] => []);
        rights.set(ino, came);
        return state.queue.flatMap((message, index) =>
          message.rights.map((duplicate) => ({
            duplicate,
            kept: (descriptor: Descriptor) => void came[index]?.push(descriptor),
          }))
        );
      });
    },
    survey({ tasks, rescuer, problem }) {
      const known = seen.surroundings.inside;
      seen = NOTHING;
      // What arrives from outside only now is refused, and closed at once.
      using late = new DisposableStack();
      const descriptors = new Map<number, Descriptor>();
      const holders = new Map<number, Task[]>();
      for (const task of tasks) {
        for (const descriptor of task.descriptors) {
          if (!claims(descriptor)) continue;
          const ino = inodeOf(descriptor);
          const known = holders.get(ino);
          if (known === undefined) holders.set(ino, [task]);
          else if (known.at(-1) !== task) known.push(task);
          if (!descriptors.has(ino)) descriptors.set(ino, descriptor);
        }
      }
      if (descriptors.size === 0) return;
      const sockets = readUnixSockets(descriptors.keys());
      const inside = new Set(descriptors.keys());
      const peers = [...inside].map((ino) => sockets.get(ino)?.peer ?? 0)
        .filter((peer) => peer !== 0 && !inside.has(peer));
      outside.look(tasks, peers.map(linkText));
      const hidden = rescuer === undefined && mayHaveInFlight(tasks);
      const cutOff = new Set<number>();
      for (const [ino, descriptor] of descriptors) {
        const socket = sockets.get(ino);
        if (socket === undefined || !isDeadEnd(options, descriptor, false)) continue;
        const { peer = 0 } = socket;
        if (outside.of(descriptor).length === 0 && (peer === 0 || inside.has(peer))) continue;
        if (socket.state === STATE.LISTEN) continue;
        cutOff.add(ino);
        sockets.set(ino, withoutPeer(socket));
        if (noted.has(ino)) continue;
        noted.add(ino);
        session.note(`socket:[${ino}] is cut off from who has its other end`);
      }
      const surroundings: Surroundings = {
        sockets,
        inside,
        waiting: findWaiting(sockets),
        skipsWaiting: options.skipInFlight === true,
        acceptsLater: options.leaveRunning === true || rescuer === undefined,
        accepts,
        isNew: (ino) => rescuer !== undefined && !known.has(ino),
        reconnects: options.externalUnixSockets === true,
        hidden,
        senders: findSenders(sockets, inside),
        leadsTo,
        nameOf,
        holders: (ino) => cutOff.has(ino) ? [] : outside.behind(linkText(ino)),
      };
      const left = strangersWaiting(surroundings);
      if (rescuer !== undefined && options.leaveRunning === true && left > 0) {
        session.note(
          `connections from outside to unix sockets that wait to be accepted (${left}) are left out: who is at their ` +
            "other ends is served by the program that runs on, and by none that is restored",
        );
      }
      const states = rescuer === undefined
        ? new Map()
        : new Map([...read, ...readStates(unread(descriptors), sockets, rescuer, late)]);
      seen = { surroundings, states, rights, holders, tasks, told: new Set() };
      if (missesMessages(sockets, states)) {
        problem({
          what:
            "an empty message waits in one of its unix sockets that was looked at before (MSG_PEEK, or " +
            "an earlier checkpoint), and cannot be found any more",
          hint: LATER,
        });
      }
    },
    async quiesce({ settle }) {
      if (options.skipInFlight === true || options.leaveRunning === true) return;
      const { surroundings } = seen;
      const listens = surroundings.sockets.values().some(({ ino, state }) =>
        state === STATE.LISTEN && surroundings.inside.has(ino)
      );
      if (!listens) return;
      accepts = await settle(() => {
        const sockets = readUnixSockets(surroundings.inside);
        return strangersWaiting({ ...surroundings, sockets }) === 0 &&
          !hasNewGuests(sockets, surroundings);
      });
    },
    descriptors: [{
      kind: "unix socket",
      claims,
      survey(descriptor) {
        const ino = inodeOf(descriptor);
        if (seen.told.has(ino)) return undefined;
        const { fd } = descriptor;
        const found = socketProblem({ fd, ino }, seen.surroundings) ?? stateProblem(fd, ino, seen);
        if (found !== undefined) seen.told.add(ino);
        return found;
      },
      dump(context) {
        const ino = inodeOf(context.descriptor);
        const queue = seen.states.get(ino)?.queue ?? [];
        if (rights.has(ino)) carriers.push({ id: context.id, ino });
        else for (const { bytes } of queue) writeMessage(writer, context.id, bytes);
        return dumpSocket(session, context, seen);
      },
    }],
    dumpTree() {
      const ids = descriptorIds(writer);
      for (const { id, ino } of carriers) {
        const came = rights.get(ino) ?? [];
        for (const [index, { bytes }] of (seen.states.get(ino)?.queue ?? []).entries()) {
          const files = came[index]?.map((one) => ids.get(one) as number) ?? [];
          writeMessage(writer, id, bytes, files);
        }
      }
    },
  };
}

/** How many connections from outside wait to be accepted. */
function strangersWaiting(
  { sockets, inside }: Pick<Surroundings, "sockets" | "inside">,
): number {
  let count = 0;
  for (const ino of inside) {
    const waiting = sockets.get(ino)?.waiting ?? [];
    count += waiting.filter((client) => client !== 0 && !inside.has(client)).length;
  }
  return count;
}

/** Whether somebody from outside is connected to a listening socket of the tree who was not when it was surveyed. */
function hasNewGuests(
  sockets: ReadonlyMap<number, UnixSocket>,
  { sockets: known, inside }: Pick<Surroundings, "sockets" | "inside">,
): boolean {
  const own = new Set(
    [...inside].flatMap((ino) => known.get(ino) ?? [])
      .filter(({ state }) => state === STATE.LISTEN).map(({ name }) => nameKey(name)),
  );
  return sockets.values().some(({ ino, state, name, peer = 0 }) =>
    state !== STATE.LISTEN && peer !== 0 && !inside.has(peer) && !known.has(ino) &&
    own.has(nameKey(name))
  );
}

/** Writes what waits in a socket. @param rights the ids of the open files that come with it */
function writeMessage(
  writer: CheckpointSession["writer"],
  id: number,
  bytes: Uint8Array,
  rights: readonly number[] = [],
): void {
  const scm = rights.length === 0 ? [] : [{ type: SCM.RIGHTS, rights: [...rights] }];
  writer.append(SK_QUEUES, null, { idFor: id, length: bytes.byteLength, scm }, bytes);
}

/** All that a socket outside has in the images. */
const NO_OPTIONS = {
  soSndbuf: 0,
  soRcvbuf: 0,
  soSndTmoSec: 0n,
  soSndTmoUsec: 0n,
  soRcvTmoSec: 0n,
  soRcvTmoUsec: 0n,
};

/** A socket whose other end is closed: a reader of a connection sees the end, a writer gets EPIPE. */
function withoutPeer(socket: UnixSocket): UnixSocket {
  const shutdown = socket.type === SOCK.DGRAM ? socket.shutdown : SHUTDOWN.BOTH;
  return { ...socket, peer: 0, shutdown };
}

function readStates(
  descriptors: ReadonlyMap<number, Descriptor>,
  sockets: ReadonlyMap<number, UnixSocket>,
  rescuer: Pick<Rescuer, "noteOutside">,
  undo: DisposableStack,
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
        states.set(ino, readState(taken.fd(index), socket, note, undo, carried));
      }
    }
  }
  return states;
}

/** What only a look at the socket itself tells. */
function stateProblem(
  fd: number,
  ino: number,
  { states, rights, surroundings, holders, tasks }: Look,
): Omit<Problem, "plugin" | "pid"> | undefined {
  const state = states.get(ino);
  const socket = surroundings.sockets.get(ino);
  if (state === undefined || socket === undefined) return undefined;
  const what = (text: string): string =>
    `its descriptor ${fd} (socket:[${ino}]) is a unix socket that ${text}`;
  if (state.problem !== undefined) return { what: what(state.problem), hint: state.hint };
  if (!rights.has(ino) && state.queue.some((message) => message.rights.length > 0)) {
    return {
      what: what(
        "has just been sent descriptors of open files from outside of the tree (SCM_RIGHTS)",
      ),
      hint: "try again",
    };
  }
  const stranger = strangeSender(state.queue, tasks);
  if (stranger !== undefined) {
    return {
      what: what(
        `has a message in its queue from task ${stranger}, which is gone or of another pid namespace, and asks for the sender (SO_PASSCRED)`,
      ),
      hint: LATER,
    };
  }
  const sender = senderProblem(socket, state.queue.map(({ from }) => from), surroundings);
  if (sender !== undefined) return { what: what(sender), hint: LATER };
  const outside = outsidePeer(ino, surroundings);
  if (outside !== undefined && socket.type !== SOCK.DGRAM && state.queue.length > 0) {
    return {
      what: what(
        "has something in its queue from outside of the tree, which nobody can send again",
      ),
      hint: LATER,
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
function outsidePeer(ino: number, { sockets, inside }: Surroundings): UnixSocket | undefined {
  const peer = sockets.get(ino)?.peer ?? 0;
  return inside.has(peer) ? undefined : sockets.get(peer);
}

const outsiders = new WeakMap<object, Set<number>>();

/** Writes a socket outside, of which only the name matters. CRIU reads those of SOCK_DGRAM. */
function writeOutside(
  { writer, files, requirePlugin }: CheckpointSession,
  { ino, type, name }: UnixSocket,
): void {
  let written = outsiders.get(writer);
  if (written === undefined) outsiders.set(writer, written = new Set());
  if (written.has(ino)) return;
  written.add(ino);
  if (type !== SOCK.DGRAM) requirePlugin();
  files.add((id) => ({
    type: fd_types.UNIXSK,
    usk: {
      id,
      ino,
      type,
      state: STATE.LISTEN,
      flags: 0,
      uflags: UNIX_EXTERN,
      backlog: 0,
      peer: 0,
      fown: NO_OWNER,
      opts: NO_OPTIONS,
      name,
    },
  }));
}

function dumpSocket(
  session: CheckpointSession,
  { descriptor, id, fown }: DescriptorDump,
  { surroundings, states, holders }: Look,
): FileImage {
  const ino = inodeOf(descriptor);
  const socket = surroundings.sockets.get(ino);
  const state = states.get(ino);
  if (socket === undefined || state === undefined) {
    throw new StasisError("internal", `socket:[${ino}] was not looked at`);
  }
  const { writer, requirePlugin } = session;
  const { options: { opts, more }, filter, peer, reset, queue, place } = state;
  // Only of datagrams: the other end of a connection has its name anyway.
  const named = socket.type === SOCK.DGRAM && queue.some(({ from }) => from.byteLength > 0);
  const outside = outsidePeer(ino, surroundings);
  if (outside !== undefined) writeOutside(session, outside);
  const signed = queue.some(({ sender }) => sender !== undefined && !isUnknown(sender));
  const messages = !named && !signed ? [] : queue.map(({ sender, from }) => ({
    sender,
    from: named && from.byteLength > 0 ? from : undefined,
  }));
  // Without these a program sees a difference, even one that does not look who its peer is.
  const orphan = socket.type === SOCK.DGRAM && socket.peer === 0;
  const needed = reset || orphan || more.length > 0 || messages.length > 0 ||
    place.moved !== undefined;
  if (needed) requirePlugin();
  const listener = surroundings.sockets.get(surroundings.waiting.get(ino) ?? 0);
  const connects = listener !== undefined || outside !== undefined;
  if (peer !== undefined || needed || connects) {
    writer.append(UNIX_EXTRA, null, {
      id,
      peer,
      reset: reset || undefined,
      orphan: orphan || undefined,
      options: [...more],
      messages,
      connector: connects ? commonIdentity(holders.get(ino) ?? []) : undefined,
      place: listener?.waiting.indexOf(ino),
      filePath: place.moved,
    });
  }
  return {
    type: fd_types.UNIXSK,
    usk: {
      id,
      ino,
      type: socket.type,
      state: socket.state,
      flags: descriptor.info.flags & ~O.CLOEXEC,
      uflags: 0,
      backlog: socket.state === STATE.LISTEN ? socket.sendQueue : 0,
      peer: listener?.ino ?? socket.peer ?? 0,
      fown,
      opts: { ...opts, soFilter: [...filter] },
      name: socket.name,
      shutdown: socket.shutdown,
      filePerms: place.perms,
      nameDir: place.directory,
      deleted: place.deleted || undefined,
    },
  };
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
function missesMessages(
  sockets: ReadonlyMap<number, UnixSocket>,
  states: ReadonlyMap<number, SocketState>,
): boolean {
  let sent = 0;
  const lengths: number[] = [];
  for (const [ino, { queue, problem, filter }] of states) {
    // What cannot be read cannot be counted, nor what has been cut.
    if (problem !== undefined || mayCut(filter)) return false;
    const socket = sockets.get(ino);
    if (socket === undefined || socket.type === SOCK.STREAM) continue;
    if (socket.state !== STATE.LISTEN) sent += socket.sendQueue;
    for (const { bytes } of queue) lengths.push(bytes.byteLength);
  }
  if (sent === 0) return false;
  using meter = new CostMeter();
  return hiddenMessages(sent, lengths, (length) => meter.costOf(length)) > 0;
}

function inodeOf({ link }: Descriptor): number {
  return Number(link.inode ?? 0n);
}

function linkText(ino: number): string {
  return `socket:[${ino}]`;
}
