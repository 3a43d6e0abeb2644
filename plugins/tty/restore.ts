/**
 * Restoring terminals: ptys in the seed, with their modes and what was in them, so that every task has them from its
 * birth; what controls a session before its members are born.
 *
 * @module
 */
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { readFdInfo, readStat, unlessGone } from "../../core/linux/procfs/mod.ts";
import { intBytes, TTY } from "../../core/linux/terminal.ts";
import type { RestoreHooks, RestoreSession, TaskPlanner } from "../../core/plugin.ts";
import { planStatusFlags, reopenFlags } from "../../core/restore/owner.ts";
import type { Argument, CallResult, SyscallProgram } from "../../core/remote/program.ts";
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import {
  type tty_file_entry,
  type tty_info_entry,
  TtyType,
} from "../../images/gen/terminals_pb.ts";
import { readDescriptors } from "../../core/restore/descriptors.ts";
import { isProvided } from "../external/provided.ts";
import { mayPush } from "./contents.ts";
import { slavePath } from "./slave_path.ts";
import { isRestoredTerminal } from "./image.ts";
import { openings } from "./indices.ts";
import { loadTerminals, type Pty, type Terminals } from "./load.ts";
import { planHungUp, planPty } from "./plan_pty.ts";

/** The terminal that controls the session, whichever that is. */
const CONTROLLING = "/dev/tty";

/** The hooks of a restore. */
export function restore(session: RestoreSession): RestoreHooks {
  const { images, options } = session;
  let terminals: Terminals = { ptys: [], hungUp: [], named: [] };
  /** By the ids of the masters' files. */
  let byMaster: ReadonlyMap<number, Pty> = new Map();
  let taken: ReadonlySet<number> = new Set();
  let groups: ReadonlySet<number> = new Set();
  /** The descriptors that the seed has made, by the ids of their files. */
  const made = new Map<number, CallResult>();
  /** The numbers under which every task has what controls sessions while the tree is built. */
  const services = new Map<tty_info_entry, number>();
  const isMine = (file: file_entry): boolean =>
    isRestoredTerminal(file, images) && !isProvided(file, images, options);
  const named = (file: file_entry) => terminals.named.find((one) => one.file.id === file.id);
  const told = new Set<Pty>();
  return {
    load({ tasks, problem }) {
      terminals = loadTerminals(images);
      byMaster = new Map(terminals.ptys.map((pty) => [pty.master.id, pty]));
      groups = new Set(tasks.map(({ pgid }) => pgid));
      const hasData = terminals.ptys.some(({ input, output, extra }) =>
        input.byteLength + output.byteLength > 0 || extra?.eof.length || extra?.flow
      );
      if (!session.rehearsal && hasData && !mayPush()) {
        problem({
          what: "what waits in its pseudoterminals cannot be put back: TIOCSTI is not allowed here",
          hint: "restore as root of the first user namespace",
        });
      }
      if (session.rehearsal) return;
      if (terminals.ptys.length > 0) taken = takenIndices();
      const needsOwn = terminals.named.some(({ info }) =>
        info.type === TtyType.CTTY && !tasks.some(({ sid }) => sid === info.sid)
      );
      if (needsOwn && !hasTerminal()) {
        problem({
          what:
            "the tree has the terminal of its session open (/dev/tty), and this tool's session has none",
          hint: "restore it from a shell in a terminal",
        });
      }
    },
    planTree(tree) {
      const byIndex = new Map(terminals.ptys.map((pty) => [pty.index, pty]));
      const fillers: CallResult[] = [];
      const masters: [Pty, CallResult][] = [];
      for (const index of openings([...byIndex.keys()], taken)) {
        const pty = index === undefined ? undefined : byIndex.get(index);
        const flags = pty === undefined ? O.RDWR : reopenFlags(pty.master.flags);
        const how = flags | O.NOCTTY | O.CLOEXEC;
        const path = pty?.master.regfId ? tree.files.pathOf(pty.master.regfId) : "/dev/ptmx";
        const master = tree.seed.call("openat", AT_FDCWD, path, how, 0);
        if (pty === undefined) fillers.push(master);
        else masters.push([pty, master]);
      }
      for (const filler of fillers) tree.seed.call("close", filler);
      for (const [pty, master] of masters) {
        made.set(pty.master.id, master);
        const modes = pty.slaves.map(({ regfId }) =>
          regfId ? tree.files.get(regfId).reg?.mode : undefined
        );
        const slaves = planPty(tree.seed, master, pty, modes[0]);
        pty.slaves.forEach(({ id }, at) => made.set(id, slaves[at] as CallResult));
        const number = tree.service();
        services.set(pty.info, number);
        tree.seed.call("dup3", master, number, 0);
      }
      for (const { file, info } of terminals.named) {
        if (info.type === TtyType.CTTY || info.sid === 0 || services.has(info)) continue;
        // It has to stay open until those have it who had.
        const number = tree.service();
        services.set(info, number);
        tree.keep(openNamed(tree.seed, tree.files.pathOf(file.regfId), O.RDONLY), number);
      }
      for (const file of terminals.hungUp) made.set(file.id, planHungUp(tree.seed, file));
    },
    planTask(task) {
      for (const pty of terminals.ptys) {
        if (pty.extra?.without.includes(task.pid) === true) planWithout(task);
        planControl(task, pty.info, slavePath(pty.index));
      }
      for (const info of new Set(terminals.named.map(({ info }) => info))) {
        if (info.type !== TtyType.CTTY) planControl(task, info, "its terminal");
      }
    },
    descriptors: [{
      kind: "terminal",
      restores: isMine,
      home(file, proposed) {
        const found = named(file);
        if (found === undefined) return "seed";
        const { sid, type } = found.info;
        if (type !== TtyType.CTTY || proposed.entry.sid === sid) return proposed;
        return proposed.tree.tasks.find(({ entry }) => entry.sid === sid) ?? proposed;
      },
      plan({ file, program, tree }): Argument {
        const known = made.get(file.id);
        if (known !== undefined) return known;
        const { flags, regfId } = file.tty as tty_file_entry;
        const path = named(file)?.info.type === TtyType.CTTY
          ? CONTROLLING
          : tree.files.pathOf(regfId);
        return openNamed(program, path, flags);
      },
    }],
    armThread({ pid, tid, tracee }) {
      if (pid !== tid || told.size === terminals.ptys.length) return;
      for (const { fd, id } of readDescriptors(images, pid)) {
        const pty = byMaster.get(id);
        if (pty === undefined || told.has(pty)) continue;
        told.add(pty);
        const now = unlessGone(() => readFdInfo(tracee.pid, fd)?.ttyIndex, undefined);
        if (now === undefined || now === pty.index) continue;
        session.note(
          `${slavePath(pty.index)} is taken here: the terminal is ${
            slavePath(now)
          } now, and who knows it by its ` +
            "former name will not find it",
        );
      }
    },
  };

  /** Has the leader of a session take its terminal, and puts the right group into its foreground. */
  function planControl(task: TaskPlanner, info: tty_info_entry, name: string): void {
    const { sid, pgrp } = info;
    const service = services.get(info);
    if (service === undefined) return;
    if (sid === 0 || task.pid !== sid) return;
    task.inSession().call("ioctl", service, TTY.TIOCSCTTY, 0);
    if (groups.has(pgrp)) {
      const program = task.program("open");
      const group = program.data(intBytes(pgrp), `group ${pgrp}`);
      program.call("ioctl", service, TTY.TIOCSPGRP, group);
    } else if (pgrp !== 0) {
      session.note(
        `no task is left of group ${pgrp}, which was in the foreground of ${name}`,
      );
    }
  }
}

/** Has a member of a session let go of its terminal, which it was born with. */
function planWithout(task: TaskPlanner): void {
  const program = task.program("open");
  const fd = program.call("openat", AT_FDCWD, CONTROLLING, O.RDWR | O.CLOEXEC, 0);
  program.call("ioctl", fd, TTY.TIOCNOTTY, 0);
  program.call("close", fd);
}

/** Adds the calls that open a terminal by its path. A line without carrier would be waited for. */
function openNamed(program: SyscallProgram, path: string, flags: number): CallResult {
  const how = reopenFlags(flags) | O.NOCTTY | O.CLOEXEC | O.NONBLOCK;
  const fd = program.call("openat", AT_FDCWD, path, how, 0);
  planStatusFlags(program, fd, flags, how);
  return fd;
}

/** The numbers of the ptys that are there. */
function takenIndices(): Set<number> {
  const names = [...Deno.readDirSync("/dev/pts")].map(({ name }) => name);
  return new Set(names.filter((name) => /^\d+$/.test(name)).map(Number));
}

/** Whether a terminal controls the session of this process, into which the tree is born. */
function hasTerminal(): boolean {
  return readStat(Deno.pid).ttyNr !== 0;
}
