/**
 * The restore's hooks of the plugin `unix`.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { taskExists } from "../../core/linux/procfs/mod.ts";
import type {
  LoadContext,
  RestoreHooks,
  RestoreSession,
  TaskPlanner,
  TreePlanner,
} from "../../core/plugin.ts";
import { pathOf } from "./name.ts";
import type { Argument, SyscallProgram } from "../../core/remote/program.ts";
import { fd_types, type file_entry } from "../../images/gen/descriptors_pb.ts";
import { ServedImage } from "../../core/restore/image_bytes.ts";
import { SK_QUEUES } from "../../images/kinds/files.ts";
import { present } from "../../images/present.ts";
import { isProvided } from "../external/provided.ts";
import { type BindPlace, fileInside, filePath, isDeleted } from "./bind.ts";
import {
  type Group,
  groupSockets,
  hasRights,
  partService,
  type SavedSocket,
  strangeSenders,
} from "./group.ts";

import { loadSockets } from "./load.ts";
import { type BufferLimits, bufferLimits, isTooLarge } from "../../core/restore/socket_options.ts";
import type { unix_closed_entry } from "../../images/gen/sockets_pb.ts";
import { planClosed, planGroup, planWaiting } from "./plan.ts";
import type { MadeGroup, Means } from "./socket.ts";
import { nameProblems, outsideProblem } from "./taken.ts";

/** The first process of a pid namespace. */
const INIT = 1;

/** The hooks of one restore. */
export function restoreUnix({ images, machine, options, rehearsal }: RestoreSession): RestoreHooks {
  const groups = new Map<number, Group>();
  /** The open files in the queue of each socket, by its id. */
  const held = new Map<number, readonly number[]>();
  const homes = new Map<Group, TaskPlanner>();
  const made = new Map<number, Argument>();
  /** Where sockets with paths are bound, by the id of the socket. */
  const places = new Map<number, BindPlace>();
  let nameLast: TreePlanner["nameLast"] = () => {};
  /** What waits in the sockets. */
  const queues = new ServedImage(images.pathOf(SK_QUEUES, null));
  let limits: BufferLimits = { force: false, send: 0, receive: 0 };
  /** Numbers for what is used when groups are filled later, and where it is by then. */
  const parking = new Map<Group, readonly number[]>();
  const parked = new Map<Group, ParkedGroup>();
  let numberOf: Means["numberOf"] = () => -1;
  /** The number under which a task keeps a socket at which it listens for others that connect, by the socket's id. */
  const listeners = new Map<number, number>();
  /** The task whose connections to one of these are planned. */
  let meeting: TaskPlanner | undefined;
  const means: Means = {
    get limits() {
      return limits;
    },
    numberOf: (id) => numberOf(id),
    fetchListener(program, { entry }) {
      const maker = homes.get(groups.get(entry.id) as Group) as TaskPlanner;
      const place = places.get(entry.id);
      if (place !== undefined) planFetch(program, maker, meeting as TaskPlanner, place.service);
      const pidfd = program.call("pidfd_open", maker.pid, 0);
      const number = listeners.get(entry.id) as number;
      const listening = program.call("pidfd_getfd", pidfd, number, 0);
      program.call("close", pidfd);
      return listening;
    },
    place: ({ entry }) => places.get(entry.id),
    bound(socket) {
      const path = pathOf(socket.entry.name);
      const whole = filePath(socket);
      if (path === undefined || whole === undefined || isDeleted(socket.entry)) return;
      const place = places.get(socket.entry.id) as BindPlace;
      nameLast(parentOf(whole), fileInside(path, place), whole);
    },
  };
  const isMine = (file: file_entry): boolean =>
    file.type === fd_types.UNIXSK && file.usk !== undefined && !isProvided(file, images, options);
  const homeOf = (group: Group, proposed: TaskPlanner): TaskPlanner => {
    let home = homes.get(group);
    if (home === undefined) {
      homes.set(group, home = chooseHome(group, proposed));
    }
    return home;
  };
  /** Connections that wait, by the task that makes them: all are planned at once, in the order in which they wait. */
  const waiting = new Map<TaskPlanner, Waiting[]>();
  /** How many there are of each task. By then every group has its home. */
  let counts: ReadonlyMap<TaskPlanner | undefined, number> | undefined;
  const countWaiting = (home: TaskPlanner): number | undefined => {
    counts ??= new Map(
      [...Map.groupBy(
        [
          ...groups.values().filter(({ kind }) => kind === "waiting"),
          ...closedAt.entries().flatMap(([id, { closed }]) =>
            closed.map(() => groups.get(id) as Group)
          ),
        ],
        (one) => homes.get(one),
      )]
        .map(([home, all]) => [home, all.length]),
    );
    return counts.get(home);
  };
  /** Listening sockets at which some wait whose other end is closed, by their ids. */
  const closedAt = new Map<number, { socket: SavedSocket; closed: readonly unix_closed_entry[] }>();
  /** The tasks of the tree. */
  let own: ReadonlySet<number> = new Set();
  const strangersOf = (group: Group): Set<number> => strangeSenders(group, own);
  /** The task that has a thread with the id of one that is gone and has sent something. */
  const stands = new Map<number, TaskPlanner>();
  /**
   * Sees to it that a message can be sent in the name of a task that is none of the tree: the kernel keeps its id for the
   * receiver, but asks that somebody has it at that moment (`scm_check_creds()` and `__scm_send()` of `net/core/scm.c`).
   */
  const standFor = (pid: number, home: TaskPlanner): void => {
    const isThere = options.newPidNamespace === true ? pid === INIT : taskExists(pid);
    if (isThere || stands.get(pid) === home) return;
    if (stands.has(pid)) {
      throw new StasisError(
        "unsupported",
        `messages that task ${pid} has sent, which is gone, wait in sockets of several tasks`,
        { hint: "they cannot be sent again in its name: try another checkpoint of the program" },
      );
    }
    stands.set(pid, home);
    home.endedThread(pid);
  };
  return {
    load({ problem }) {
      const sockets = loadSockets(images, isMine, queues);
      if (sockets.length === 0) return;
      limits = bufferLimits(machine.privileges);
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
      for (const socket of sockets) {
        const closed = socket.extra?.closed ?? [];
        if (closed.length > 0) closedAt.set(socket.entry.id, { socket, closed });
      }
      for (const { entry, queue } of sockets) {
        held.set(entry.id, queue.flatMap(({ rights = [] }) => rights));
      }
      checkBuffers(sockets, limits, problem);
      // A tree that has been let run on may have deleted some by now.
      if (rehearsal && options.leaveRunning === true) return;
      const senders = all.flatMap((one) => one.kind === "datagrams" ? one.senders : []);
      for (const one of nameProblems([...sockets, ...senders], rehearsal)) problem(one);
      for (const one of sockets.flatMap((socket) => outsideProblem(socket) ?? [])) problem(one);
    },
    planTree(tree) {
      if (groups.size > 0 && images.has(SK_QUEUES, null)) queues.serve(tree);
      nameLast = (...name) => tree.nameLast(...name);
      const pids = new Set(tree.tasks.flatMap((one) => one.filesOwner === one.pid ? one.pid : []));
      for (const service of new Set(groups.values())) {
        if (service.kind !== "service") continue;
        for (const part of partService(service, (pid) => pids.has(pid))) {
          for (const { entry } of part.sockets) groups.set(entry.id, part);
          if (part.kind === "met" && !listeners.has(part.listener.entry.id)) {
            listeners.set(part.listener.entry.id, tree.service());
          }
        }
      }
      const all = [...new Set(groups.values())];
      own = new Set(tree.tasks.map(({ pid }) => pid));
      for (const group of all.filter((one) => hasRights(one) || strangersOf(one).size > 0)) {
        parking.set(group, Array.from({ length: mostUsed(group) }, () => tree.service()));
      }
      for (const socket of all.flatMap(boundSockets)) {
        const { entry } = socket;
        if (pathOf(entry.name) === undefined) continue;
        const whole = isDeleted(entry) ? undefined : filePath(socket);
        const directory = whole === undefined ? undefined : tree.privateDirectory(parentOf(whole));
        const moved = directory !== undefined && present(socket.extra, "filePath") !== undefined;
        places.set(entry.id, { service: tree.service(), directory, moved });
      }
    },
    descriptors: [{
      kind: "unix socket",
      restores: (file) => isMine(file) && groups.has(file.id),
      home: (file, proposed) => homeOf(groups.get(file.id) as Group, proposed),
      holds: ({ id }) => held.get(id) ?? [],
      meets: ({ id }) => groups.get(id)?.kind === "met",
      plan({ file, program, home }) {
        if (!made.has(file.id)) {
          const group = groups.get(file.id) as Group;
          meeting = home;
          const one = planGroup(program, group, means);
          for (const [id, fd] of one.made) {
            made.set(id, fd);
            const number = listeners.get(id);
            if (number !== undefined) program.call("dup3", fd, number, O.CLOEXEC);
          }
          const numbers = parking.get(group);
          if (numbers === undefined) one.fill(program, (fd) => fd);
          else parked.set(group, park(program, one, numbers));
        }
        return made.get(file.id) as Argument;
      },
      connect({ file, program, home, fd, ...context }) {
        const group = groups.get(file.id) as Group;
        const later = parked.get(group);
        if (later !== undefined) {
          parked.delete(group);
          numberOf = context.numberOf;
          const strangers = strangersOf(group);
          for (const pid of strangers) standFor(pid, home);
          later.group.fill(
            strangers.size > 0 ? home.program("threads") : program,
            (fd) => later.numbers.get(fd) ?? fd,
          );
        }
        const closed = closedAt.get(file.id);
        if (group.kind !== "waiting" && closed === undefined) return;
        const ready = waiting.get(home) ?? [];
        waiting.set(home, ready);
        if (group.kind === "waiting") {
          const { sockets: [{ extra }], listener } = group;
          const plan = () => planWaiting(program, fd, group, means);
          ready.push({ place: extra?.place ?? 0, listener, plan });
        }
        for (const { place, sent } of closed?.closed ?? []) {
          const listener = closed?.socket as SavedSocket;
          ready.push({ place, listener, plan: () => planClosed(program, listener, sent, means) });
        }
        if (ready.length < (countWaiting(home) ?? 0)) return;
        ready.sort((one, other) => one.place - other.place);
        const fetched = new Set<number>();
        for (const { listener: { entry }, plan } of ready) {
          const maker = homes.get(groups.get(entry.id) as Group);
          const place = places.get(entry.id);
          if (place !== undefined && maker !== undefined && !fetched.has(place.service)) {
            fetched.add(place.service);
            planFetch(program, maker, home, place.service);
          }
          plan();
        }
      },
    }],
  };
}

/**
 * The task in which a group is made: the one that made it before, if it is in the tree and has a descriptor table of
 * its own. For names it changes its directories and umask for a moment, which nobody sees: tasks that share them
 * take turns, and get those that they are to have later.
 */
function chooseHome(group: Group, proposed: TaskPlanner): TaskPlanner {
  const pid = makerOf(group);
  return proposed.tree.tasks.find((task) => task.pid === pid && task.filesOwner === pid) ??
    proposed;
}

/** A connection that comes to wait again. */
interface Waiting {
  /** How many wait before it. */
  readonly place: number;
  readonly listener: SavedSocket;
  /** Adds the calls. */
  plan(): void;
}

/** A group that is filled later. */
interface ParkedGroup {
  readonly group: MadeGroup;
  readonly numbers: ReadonlyMap<Argument, number>;
}

/** How many descriptors the filling of a group takes, at the most: each socket, ends that are nobody's, and senders. */
function mostUsed(group: Group): number {
  const { sockets } = group;
  return 2 * sockets.length + (group.kind === "datagrams" ? group.senders.length : 0);
}

/** Adds calls that keep under certain numbers what the filling of a group takes. */
function park(
  program: SyscallProgram,
  group: MadeGroup,
  numbers: readonly number[],
): ParkedGroup {
  const places = new Map<Argument, number>();
  for (const [index, { fd, spare }] of group.used.entries()) {
    const number = numbers[index] as number;
    program.call("dup3", fd, number, O.CLOEXEC);
    if (spare) program.call("close", fd);
    places.set(fd, number);
  }
  return { group, numbers: places };
}

/** The sockets of a group that are bound themselves: what was accepted has the name of who listens. */
function boundSockets(group: Group): readonly SavedSocket[] {
  if (group.kind === "datagrams") return [...group.sockets, ...group.senders];
  if (group.kind !== "service" && group.kind !== "met") return group.sockets;
  const { listener, connections } = group;
  const clients = connections.flatMap(({ client }) => client ?? []);
  const named = group.kind === "met" ? undefined : listener ?? connections[0]?.server;
  return named === undefined ? clients : [named, ...clients];
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Adds the calls by which a task gets the file of a socket that another one has bound, under the same number. */
function planFetch(
  program: SyscallProgram,
  maker: TaskPlanner,
  home: TaskPlanner,
  number: number,
): void {
  if (maker.filesOwner === home.filesOwner) return;
  const pidfd = program.call("pidfd_open", maker.pid, 0);
  const file = program.call("pidfd_getfd", pidfd, number, 0);
  program.call("dup3", file, number, O.CLOEXEC);
  for (const fd of [pidfd, file]) program.call("close", fd);
}

/** The process that made the sockets, as their peers are told; of a service the one that listens. */
function makerOf(group: Group): number | undefined {
  const [first] = group.sockets;
  if (group.kind === "waiting" || group.kind === "outside") return undefined;
  if (group.kind !== "service") return first?.extra?.peer?.pid;
  return (group.listener ?? group.connections[0]?.server)?.extra?.peer?.pid;
}

function checkBuffers(
  sockets: readonly SavedSocket[],
  limits: BufferLimits,
  problem: LoadContext["problem"],
): void {
  const large = sockets.find(({ entry: { opts } }) => isTooLarge(opts, limits));
  if (large === undefined) return;
  problem({
    what: `socket:[${large.entry.ino}] has larger buffers than this user may make`,
    hint: "raise net.core.wmem_max and net.core.rmem_max, or restore with CAP_NET_ADMIN",
  });
}
