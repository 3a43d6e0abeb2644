/**
 * Saving terminals.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { isNamedExternal, outsideHolders } from "../../core/checkpoint/outside_holders.ts";
import type { Task } from "../../core/checkpoint/task.ts";
import { slaveIndex, terminalOf, treeTerminals } from "../../core/checkpoint/terminals.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { O } from "../../core/linux/fcntl.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import {
  isHungUp,
  N_TTY,
  POLL,
  pollNow,
  readLockedTermios,
  readTermios,
  readWindowSize,
  TTY,
  ttyInt,
  ttyIntOrNone,
} from "../../core/linux/terminal.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type {
  CheckpointHooks,
  CheckpointSession,
  DescriptorDump,
  FrozenTree,
  MessageDraft,
} from "../../core/plugin.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { type tty_info_entrySchema, TtyFlow, TtyType } from "../../images/gen/terminals_pb.ts";
import { TTY_DATA, TTY_EXTRA, TTY_INFO } from "../../images/kinds/files.ts";
import { EMPTY, lookInto, mayPush } from "./contents.ts";
import type { PtyContents } from "./exchange.ts";
import { namesOf, outsideMasters } from "./holders.ts";
import { slavePath } from "./slave_path.ts";
import { FIRST_OTHER, masterId, slaveId, termiosImage, windowImage } from "./image.ts";
import { deviceOf, sessionProblem, terminalProblem } from "./survey.ts";

type Info = MessageDraft<typeof tty_info_entrySchema>;

const TYPES = {
  controlling: TtyType.CTTY,
  console: TtyType.CONSOLE,
  virtual: TtyType.VT,
  serial: TtyType.SERIAL,
} as const;

/** The ids of terminals that are no ptys, as CRIU counts them. */
const CRIU_IDS = {
  [TtyType.CONSOLE]: 2 * 1002,
  [TtyType.VT]: 2 * 1004,
  [TtyType.CTTY]: 2 * 1006,
  [TtyType.SERIAL]: 2 * 1010,
} as const;

/** The hooks of a checkpoint. */
export function checkpoint(session: CheckpointSession): CheckpointHooks {
  const { writer, files, options } = session;
  const holders = outsideHolders(writer);
  const terminals = treeTerminals(writer);
  /** The tasks that lead a session which a terminal controls. */
  let leaders: readonly Task[] = [];
  /** What is written in the end, by the ids of `tty-info.img`. */
  const infos = new Map<number, Info>();
  /** What was in each pty, by its index. */
  const contents = new Map<number, PtyContents>();
  /** The ptys whose slave has been closed by all who had it. */
  const closedSlaves = new Set<number>();
  /** Who outside has which master, by its index. */
  let masters: ReadonlyMap<number, number> = new Map();
  let pushes: boolean | undefined;
  const allowed = (): boolean => pushes ??= mayPush();
  /** The ids of terminals for which CRIU has no number, by what they are. */
  const others = new Map<string, number>();
  const otherId = (key: string): number => {
    const id = others.get(key) ?? FIRST_OTHER + others.size;
    others.set(key, id);
    return id;
  };
  /** What has CRIU's number of its type, of which CRIU has one each. */
  const known = new Map<TtyType, string>();
  const typeId = (type: keyof typeof CRIU_IDS, key: string): number => {
    if (!known.has(type)) known.set(type, key);
    return known.get(type) === key ? CRIU_IDS[type] : otherId(key);
  };
  return {
    survey({ tasks, problem }) {
      terminals.look(tasks);
      leaders = tasks.filter(({ stat, pid }) => stat.session === pid && stat.ttyNr !== 0);
      if (terminals.masters.size + leaders.length > 0) {
        holders.look(tasks, namesOf(terminals.masters));
        masters = outsideMasters(holders);
      }
      for (const task of leaders) {
        const found = sessionProblem(task, terminals, masters);
        if (found !== undefined) problem({ pid: task.pid, ...found });
      }
    },
    descriptors: [{
      kind: "terminal",
      claims: (descriptor) =>
        terminals.isInside(descriptor) && !isNamedExternal(options, descriptor),
      survey: (descriptor) => terminalProblem(descriptor, holders, masters),
      dump(context) {
        const { descriptor, id, fown } = context;
        const flags = descriptor.info.flags & ~O.CLOEXEC;
        const { mode } = descriptor.identity;
        const name = descriptor.link.path;
        const regfId = files.add((id) => ({
          type: fd_types.REG,
          reg: { id, flags, pos: 0n, fown, name, mode },
        }));
        return { type: fd_types.TTY, tty: { id, ttyInfoId: note(context), flags, fown, regfId } };
      },
    }],
    dumpTree(tree) {
      // CRIU has no place for these.
      if (others.size > 0) session.requirePlugin();
      for (const info of infos.values()) writer.append(TTY_INFO, null, info);
      for (const [index, found] of contents) saveContents(index, found, tree);
    },
  };

  /** Notes what a descriptor's terminal is. @returns its id */
  function note(context: DescriptorDump): number {
    const { descriptor, fd } = context;
    const terminal = terminalOf(descriptor) as NonNullable<ReturnType<typeof terminalOf>>;
    switch (terminal.kind) {
      case "master":
        noteMaster(terminal.index, context);
        return masterId(terminal.index);
      case "slave": {
        const { index } = terminal;
        if (!descriptor.link.deleted && !isHungUp(fd)) {
          const { uid, gid } = Deno.statSync(`/proc/self/fd/${fd}`);
          const owner = { uid: uid ?? 0, gid: gid ?? 0 };
          const exclusive = ttyInt(fd, "TIOCGEXCL") !== 0;
          infos.set(slaveId(index), {
            ...describe(context, TtyType.PTY, slaveId(index)),
            ...settingsOf(slavePath(index), fd),
            ...ptySession(index),
            ...owner,
            exclusive,
            pty: { index },
          });
          return slaveId(index);
        }
        const id = terminals.slaves.has(index) ? otherId(`hung up ${index}`) : slaveId(index);
        infos.set(id, { ...describe(context, TtyType.PTY, id), pty: { index } });
        return id;
      }
      case "controlling": {
        const sid = controlled(context);
        const id = typeId(TtyType.CTTY, `session ${sid}`);
        const settings = isHungUp(fd) ? {} : settingsOf("/dev/tty", fd);
        infos.set(id, { ...describe(context, TtyType.CTTY, id), ...settings, sid });
        return id;
      }
      default: {
        const { rdev } = descriptor.identity;
        const id = typeId(TYPES[terminal.kind], `device ${rdev}`);
        const session = sessionOf(({ stat }) => stat.ttyNr === rdev);
        // CRIU wants them; here those count that the terminal has on its machine.
        const settings = isHungUp(fd) ? {} : settingsOf(descriptor.link.text, fd);
        infos.set(id, { ...describe(context, TYPES[terminal.kind], id), ...settings, ...session });
        return id;
      }
    }
  }

  function noteMaster(index: number, context: DescriptorDump): void {
    const { fd, task } = context;
    const packetMode = ttyInt(fd, "TIOCGPKT") !== 0;
    const locked = ttyInt(fd, "TIOCGPTLCK") !== 0;
    infos.set(masterId(index), {
      ...describe(context, TtyType.PTY, masterId(index)),
      ...settingsOf(slavePath(index), fd),
      ...ptySession(index),
      locked,
      packetMode,
      pty: { index },
    });
    const sid = ttyIntOrNone(fd, "TIOCGSID");
    if (sid !== 0 && sid !== ptySession(index).sid) {
      throw new StasisError(
        "unsupported",
        `${
          slavePath(index)
        }, whose master task ${task.pid} has, controls session ${sid}, which is outside of the tree`,
        { pid: task.pid, hint: "checkpoint a tree that both belong to" },
      );
    }
    contents.set(index, EMPTY);
    if ((pollNow(fd) & POLL.HUP) !== 0) closedSlaves.add(index);
    else if (!terminals.slaves.has(index)) {
      // To open it would be seen.
      session.note(
        `nobody has opened ${slavePath(index)} yet: what has been written to it is lost`,
      );
      return;
    }
    if (locked) {
      throw new StasisError("unsupported", `${slavePath(index)} has been opened, and is locked`, {
        hint: "unlock it (unlockpt(3)): what waits in it cannot be looked at",
      });
    }
    using slave = openSlave(fd);
    if (Deno.statSync(`/proc/self/fd/${slave.fd}`).dev !== deviceOf("/dev/pts")) {
      throw new StasisError(
        "unsupported",
        `a master of task ${context.task.pid} is of another file system of pseudoterminals than this tool's`,
        { hint: "have the program use /dev/ptmx, or run the tool in its mount namespace" },
      );
    }
    const found = lookInto(fd, slave.fd, slavePath(index), packetMode, allowed);
    contents.set(index, found);
  }

  /** The session that a terminal controls, and its foreground group. */
  function sessionOf(leads: (leader: Task) => boolean): Pick<Info, "sid" | "pgrp"> {
    const leader = leaders.find(leads);
    if (leader === undefined) return { sid: 0, pgrp: 0 };
    return { sid: leader.pid, pgrp: Math.max(0, leader.stat.tpgid) };
  }

  function ptySession(index: number): Pick<Info, "sid" | "pgrp"> {
    return sessionOf(({ stat }) => slaveIndex(stat.ttyNr) === index);
  }

  /** The session by which a terminal that was opened as /dev/tty can be opened so again; 0 for one outside. */
  function controlled({ descriptor, task, fd }: DescriptorDump): number {
    const { session: own, ttyNr } = task.proc.stat;
    const device = isHungUp(fd) ? ttyNr : ttyInt(fd, "TIOCGDEV");
    const leader = leaders.find(({ stat }) => stat.ttyNr === device);
    if (leader !== undefined) return leader.pid;
    if (device === ttyNr && !leaders.some(({ pid }) => pid === own)) return 0;
    throw new StasisError(
      "unsupported",
      `descriptor ${descriptor.fd} of task ${task.pid} (/dev/tty) is of a terminal that controls no session of its`,
      { pid: task.pid, hint: "close it before the checkpoint" },
    );
  }

  function saveContents(index: number, found: PtyContents, tree: FrozenTree): void {
    const { input, output, flow } = found;
    const append = (ttyId: number, data: Uint8Array): void => {
      if (data.byteLength > 0) writer.append(TTY_DATA, null, { ttyId, data });
    };
    append(slaveId(index), input.data);
    append(masterId(index), output);
    const { sid } = ptySession(index);
    const without = tree.tasks.filter(({ proc: { stat } }) =>
      sid !== 0 && stat.session === sid && stat.ttyNr === 0
    ).map(({ pid }) => pid);
    const closed = closedSlaves.has(index);
    const flows = flow === TtyFlow.FLOWS;
    if (flows && input.eof.length === 0 && without.length === 0 && !closed) return;
    session.requirePlugin();
    const ttyId = slaveId(index);
    writer.append(TTY_EXTRA, null, { ttyId, flow, eof: [...input.eof], without, closed });
  }
}

function describe({ descriptor }: DescriptorDump, type: TtyType, id: number): Info {
  const { rdev, dev } = descriptor.identity;
  const nothing = { locked: false, exclusive: false, packetMode: false, sid: 0, pgrp: 0 };
  return { id, type, rdev, dev, ...nothing };
}

/** Modes and size, by either end. */
function settingsOf(
  name: string,
  fd: number,
): Pick<Info, "termios" | "termiosLocked" | "winsize"> {
  const termios = readTermios(fd);
  // By the master the first tells of the slave's, and the second of its own.
  if (termios.line !== N_TTY || ttyInt(fd, "TIOCGETD") !== N_TTY) {
    const message = `${name} is no terminal but another kind of line`;
    throw new StasisError("unsupported", message, {
      hint: "line disciplines other than the usual one cannot be saved: end what has set it",
    });
  }
  return {
    termios: termiosImage(termios),
    termiosLocked: termiosImage(readLockedTermios(fd)),
    winsize: windowImage(readWindowSize(fd)),
  };
}

/** Opens the slave of a master once more. */
function openSlave(master: number): OwnedDescriptor {
  const how = O.RDWR | O.NOCTTY | O.NONBLOCK | O.CLOEXEC;
  const opened = syscall(SYSCALLS.ioctl, master, TTY.TIOCGPTPEER, how);
  if (!isErrno(opened)) return new OwnedDescriptor(Number(opened));
  const errno = errnoName(-opened);
  throw new StasisError("syscall", `ioctl(${master}, TIOCGPTPEER) failed: ${errno}`, { errno });
}
