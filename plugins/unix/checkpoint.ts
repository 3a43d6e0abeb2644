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
import { eachTaken } from "../../core/checkpoint/each_taken.ts";
import { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { mayHaveInFlight } from "../../core/checkpoint/in_flight.ts";
import { descriptorIds } from "../../core/checkpoint/descriptor_ids.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { nameOf } from "../../core/linux/procfs/mod.ts";
import { readUnixSockets } from "../../core/linux/net/sock_diag.ts";
import { SHUTDOWN, SOCK, STATE, type UnixSocket } from "../../core/linux/net/unix_diag.ts";
import type { CheckpointHooks, CheckpointSession } from "../../core/plugin.ts";
import { dumpSocket, writeMessage } from "./dump.ts";
import { inodeOf, linkText, missesMessages, NOTHING, readStates, stateProblem } from "./look.ts";
import { readSent, type Sent, withSomething } from "./unaccepted.ts";
import { nameKey } from "./name.ts";
import { LATER, type SocketState } from "./state.ts";
import { findSenders, findWaiting, socketProblem, type Surroundings } from "./survey.ts";
import { leadsTo } from "./taken.ts";
import { readUrgent } from "./urgent.ts";

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
      protocol = descriptor.socketProtocol;
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
      const full = withSomething(sockets, inside);
      // Where it is needed: its types take a while to be read.
      using opened = new DisposableStack();
      let found: { readonly memory: KernelMemory | undefined } | undefined;
      const openMemory = () => (found ??= { memory: opened.use(KernelMemory.openHere()) }).memory;
      const memory = full.length === 0 ? undefined : openMemory();
      const sent = new Map<number, readonly Sent[]>();
      if (memory !== undefined && rescuer !== undefined) {
        const listening = full.flatMap(({ ino }) => descriptors.get(ino) ?? []);
        eachTaken(listening, (descriptor, fd) => {
          const ino = inodeOf(descriptor);
          const found = readSent(fd, memory);
          if (found.length === sockets.get(ino)?.waiting.length) sent.set(ino, found);
        });
      }
      const surroundings: Surroundings = {
        sent,
        mayRead: memory !== undefined,
        sockets,
        inside,
        waiting: findWaiting(sockets),
        skipsWaiting: options.skipInFlight === true,
        acceptsLater: options.leaveRunning === true || rescuer === undefined,
        accepts,
        stands: rescuer !== undefined,
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
      const urgentOf = (fd: number) => {
        const memory = openMemory();
        return memory === undefined ? undefined : readUrgent(fd, memory);
      };
      const states = rescuer === undefined ? new Map() : new Map([
        ...read,
        ...readStates(unread(descriptors), sockets, rescuer, late, urgentOf),
      ]);
      seen = { surroundings, states, rights, holders, tasks, told: new Set() };
      if (missesMessages(sockets, states, sent)) {
        problem({
          what:
            "an empty message waits in one of its unix sockets that was looked at before (MSG_PEEK, or " +
            "an earlier checkpoint), and cannot be found any more",
          ...LATER,
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

/** A socket whose other end is closed: a reader of a connection sees the end, a writer gets EPIPE. */
function withoutPeer(socket: UnixSocket): UnixSocket {
  const shutdown = socket.type === SOCK.DGRAM ? socket.shutdown : SHUTDOWN.BOTH;
  return { ...socket, peer: 0, shutdown };
}
