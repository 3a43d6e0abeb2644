/**
 * Plugin `unix`: unix sockets within the tree, with what waits in them.
 *
 * Saved: a `unix_sk_entry` of `files.img` for each socket, as CRIU has it, with what waits in it in
 * `sk-queues.img`; and in `unix-extra.img` what these cannot say. Which socket is connected to which the kernel
 * tells by netlink (sock_diag(7)). All that is read of a socket is read through a duplicate of its descriptor, when
 * the tree stands still, and nothing is taken out of it.
 *
 * Restored: sockets that are connected to each other are made by socketpair(2) in the task that made them before,
 * if it is in the tree, and handed on from there by the core. See `plan.ts`.
 *
 * A socket whose other end is outside of the tree is refused, unless the user names it as external.
 *
 * @module
 */
import { isNamedExternal, outsideHolders } from "../../core/checkpoint/outside.ts";
import type { Descriptor, Task } from "../../core/checkpoint/task.ts";
import { StasisError } from "../../core/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { openPidfd, takeDescriptor } from "../../core/linux/pidfd.ts";
import { readSocketProtocol, readStatus } from "../../core/linux/procfs/mod.ts";
import { readUnixSockets } from "../../core/linux/sock_diag.ts";
import { SOCK, STATE, type UnixSocket } from "../../core/linux/unix_diag.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type DescriptorDump,
  type FileImage,
  type Plugin,
  type RestoreHooks,
  type RestoreSession,
  type TaskPlanner,
} from "../../core/plugin.ts";
import type { Argument } from "../../core/remote/program.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import type { unix_sk_entry } from "../../images/gen/sockets_pb.ts";
import { SK_QUEUES } from "../../images/kinds/files.ts";
import { UNIX_EXTRA } from "../../images/kinds/unix_extra.ts";
import { isProvided } from "../external/provided.ts";
import { type Group, groupSockets } from "./group.ts";
import { CostMeter, hiddenMessages } from "./hidden.ts";
import { loadSockets } from "./load.ts";
import type { BufferLimits } from "./options.ts";
import { planGroup } from "./plan.ts";
import { isUnknown } from "./queue.ts";
import { LATER, readState, type SocketState } from "./state.ts";
import { socketProblem, type Surroundings } from "./survey.ts";

/** The plugin. */
export const unix: Plugin = definePlugin({
  name: "unix",
  description: "unix sockets with what waits in them",
  images: [SK_QUEUES, UNIX_EXTRA],
  checkpoint,
  restore,
});

function checkpoint(session: CheckpointSession): CheckpointHooks {
  const { writer, options } = session;
  const outside = outsideHolders(writer);
  const protocols = new Map<string, string>();
  const nowhere: Surroundings = { sockets: new Map(), inside: new Set(), holders: () => [] };
  let surroundings = nowhere;
  let states = new Map<number, SocketState>();
  /** The sockets whose problem has been told: one that many tasks have is told once. */
  let told = new Set<number>();

  const isUnix = (descriptor: Descriptor): boolean => {
    if (descriptor.link.kind !== "socket") return false;
    const { text } = descriptor.link;
    let protocol = protocols.get(text);
    if (protocol === undefined) {
      protocol = readSocketProtocol(descriptor.pid, descriptor.fd);
      if (protocol === undefined) return false;
      protocols.set(text, protocol);
    }
    return protocol.startsWith("UNIX");
  };
  const claims = (descriptor: Descriptor): boolean =>
    isUnix(descriptor) && !isNamedExternal(options, descriptor);

  return {
    survey({ tasks, frozen, problem }) {
      told = new Set();
      states = new Map();
      const found = new Map<number, { readonly descriptor: Descriptor; readonly task: Task }>();
      for (const task of tasks) {
        for (const descriptor of task.descriptors) {
          const ino = inodeOf(descriptor);
          if (!found.has(ino) && claims(descriptor)) found.set(ino, { descriptor, task });
        }
      }
      surroundings = nowhere;
      if (found.size === 0) return;
      const sockets = readUnixSockets(found.keys());
      const inside = new Set(found.keys());
      const peers = [...inside].map((ino) => sockets.get(ino)?.peer ?? 0)
        .filter((peer) => peer !== 0 && !inside.has(peer));
      outside.look(tasks, peers.map(linkText));
      surroundings = { sockets, inside, holders: (ino) => outside.behind(linkText(ino)) };
      if (!frozen) return;
      for (const [ino, { descriptor }] of found) {
        const socket = sockets.get(ino);
        if (socket !== undefined) states.set(ino, stateOf(descriptor, socket, tasks));
      }
      if (missesMessages(sockets, states)) {
        problem({
          what:
            "an empty message waits in one of its unix sockets that was looked at before (MSG_PEEK, or " +
            "an earlier checkpoint), and cannot be found any more",
          hint: LATER,
        });
      }
    },
    descriptors: [{
      kind: "unix socket",
      claims,
      survey(descriptor) {
        const ino = inodeOf(descriptor);
        if (told.has(ino)) return undefined;
        const { fd, info } = descriptor;
        const state = states.get(ino);
        const problem = socketProblem({ fd, ino, inFlight: info.scmFds ?? 0 }, surroundings) ??
          (state?.problem === undefined ? undefined : {
            what: `its descriptor ${fd} (socket:[${ino}]) is a unix socket that ${state.problem}`,
            hint: state.hint,
          });
        if (problem !== undefined) told.add(ino);
        return problem;
      },
      dump: dumpSocket,
    }],
  };

  function dumpSocket({ descriptor, id, fown }: DescriptorDump): FileImage {
    const ino = inodeOf(descriptor);
    const socket = surroundings.sockets.get(ino);
    const state = states.get(ino);
    if (socket === undefined || state === undefined) {
      throw new StasisError("internal", `socket:[${ino}] was not looked at`);
    }
    for (const { bytes } of state.queue) {
      writer.append(SK_QUEUES, null, { idFor: id, length: bytes.byteLength }, bytes);
    }
    const { options: { opts, more }, peer, reset, queue } = state;
    const senders = queue.flatMap(({ sender }) => sender ?? []);
    // Without these a program sees a difference, even one that does not look who its peer is.
    const needed = reset || more.length > 0 || senders.some((sender) => !isUnknown(sender));
    if (needed) session.requirePlugin();
    if (peer !== undefined || needed) {
      const options = [...more];
      writer.append(UNIX_EXTRA, null, { id, peer, reset: reset || undefined, options, senders });
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
        backlog: 0,
        peer: socket.peer ?? 0,
        fown,
        opts,
        name: socket.name,
        shutdown: socket.shutdown,
      },
    };
  }
}

function stateOf(
  { pid, fd }: Descriptor,
  socket: UnixSocket,
  tasks: readonly Task[],
): SocketState {
  using pidfd = openPidfd(pid);
  using duplicate = takeDescriptor(pidfd, pid, fd);
  return readState(duplicate.fd, socket, new Set(tasks.map((task) => task.pid)));
}

/** Whether some sockets of the tree hold messages that were not found. */
function missesMessages(
  sockets: ReadonlyMap<number, UnixSocket>,
  states: ReadonlyMap<number, SocketState>,
): boolean {
  let sent = 0;
  const seen: number[] = [];
  for (const [ino, { queue, problem }] of states) {
    // What cannot be read cannot be counted.
    if (problem !== undefined) return false;
    const socket = sockets.get(ino);
    if (socket === undefined || socket.type === SOCK.STREAM) continue;
    if (socket.state !== STATE.LISTEN) sent += socket.sendQueue;
    for (const { bytes } of queue) seen.push(bytes.byteLength);
  }
  if (sent === 0) return false;
  using meter = new CostMeter();
  return hiddenMessages(sent, seen, (length) => meter.costOf(length)) > 0;
}

function inodeOf({ link }: Descriptor): number {
  return Number(link.inode ?? 0n);
}

function linkText(ino: number): string {
  return `socket:[${ino}]`;
}

const CAP_NET_ADMIN = 12n;

/** What this process may do with sizes of buffers. */
function bufferLimits(): BufferLimits {
  const most = (name: string): number =>
    Number(Deno.readTextFileSync(`/proc/sys/net/core/${name}`));
  return {
    force: (readStatus(Deno.pid).caps.effective >> CAP_NET_ADMIN & 1n) === 1n,
    send: most("wmem_max"),
    receive: most("rmem_max"),
  };
}

function restore(session: RestoreSession): RestoreHooks {
  const { images, options } = session;
  const groups = new Map<number, Group>();
  const homes = new Map<Group, TaskPlanner>();
  const made = new Map<number, Argument>();
  let limits: BufferLimits = { force: false, send: 0, receive: 0 };
  const isMine = (file: file_entry): boolean =>
    file.type === fd_types.UNIXSK && file.usk !== undefined && !isProvided(file, images, options);
  return {
    load({ problem }) {
      const sockets = loadSockets(images, isMine);
      if (sockets.length === 0) return;
      limits = bufferLimits();
      const { groups: all, misfits } = groupSockets(sockets);
      for (const { socket: { entry }, why } of misfits) {
        problem({
          what: `socket:[${entry.ino}] (file ${entry.id}) cannot be restored: ${why}`,
          hint:
            `open something in its place and name it: --inherit-fd 'fd[N]:socket:[${entry.ino}]'`,
        });
      }
      for (const one of all) {
        for (const { entry } of one.sockets) groups.set(entry.id, one);
      }
      const large = sockets.find(({ entry: { opts } }) =>
        !limits.force && opts !== undefined &&
        (opts.soSndbuf > 2 * limits.send || opts.soRcvbuf > 2 * limits.receive)
      );
      if (large !== undefined) {
        problem({
          what: `socket:[${large.entry.ino}] has larger buffers than this user may make`,
          hint: "raise net.core.wmem_max and net.core.rmem_max, or restore with CAP_NET_ADMIN",
        });
      }
    },
    descriptors: [{
      kind: "unix socket",
      restores: isMine,
      home(file, proposed) {
        const group = groups.get(file.id) as Group;
        let home = homes.get(group);
        if (home === undefined) {
          home = maker(group, proposed) ?? proposed;
          homes.set(group, home);
        }
        return home;
      },
      plan({ file, program }) {
        const { id } = file.usk as unix_sk_entry;
        if (!made.has(id)) {
          for (const [one, fd] of planGroup(program, groups.get(id) as Group, limits)) {
            made.set(one, fd);
          }
        }
        return made.get(id) as Argument;
      },
    }],
  };
}

/** The task that made a connection, if it is in the tree and has a descriptor table of its own. */
function maker({ sockets }: Group, { tree }: TaskPlanner): TaskPlanner | undefined {
  const pid = sockets[0].extra?.peer?.pid;
  return tree.tasks.find((task) => task.pid === pid && task.filesOwner === pid);
}
