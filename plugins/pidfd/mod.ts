/**
 * Plugin `pidfd`: descriptors of pidfd_open(2) that stand for processes of the tree, living, ended or reaped.
 *
 * Saved: a `pidfd_entry` of `files.img` with the process, from fdinfo, and the status flags.
 *
 * Restored: pidfd_open(2) by a task that has it, when all processes exist. One that was reaped has no pid any more:
 * one of a task that has ended before the tree is born takes its place, the same for all descriptors with one inode, as
 * pidfds of a process have (Linux 6.9). Nobody can tell the two apart but by that inode itself, which is another one,
 * and by the exit status that PIDFD_GET_INFO has kept (Linux 6.15).
 *
 * Refused: those of processes outside of the tree, and of threads that are not the first of their process, which are
 * born after descriptors are.
 *
 * @module
 */
import { descends, isNamedExternal } from "../../core/checkpoint/outside_holders.ts";
import type { Descriptor } from "../../core/checkpoint/task.ts";
import type { Problem } from "../../base/errors.ts";
import { F, O } from "../../core/linux/fcntl.ts";
import { readComm, unlessGone } from "../../core/linux/procfs/mod.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { planStatusFlags } from "../../core/restore/owner.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import type { pidfd_entry } from "../../images/gen/pidfd_pb.ts";
import { FILES } from "../../images/kinds/files.ts";

/** `nspid` of a process that was reaped. */
const REAPED = -1;

/** The plugin. */
export const pidfd: Plugin = definePlugin({
  name: "pidfd",
  description: "descriptors of pidfd_open(2)",

  checkpoint(session) {
    let pids: ReadonlySet<number> = new Set();
    let threads: ReadonlySet<number> = new Set();
    return {
      survey({ tasks }) {
        const all = tasks.filter(({ descriptors }) => descriptors.some(isPidfd)).length > 0
          ? tasks
          : [];
        pids = new Set(all.map(({ pid }) => pid));
        threads = new Set(all.flatMap((task) => task.isZombie ? [] : task.threads));
      },
      descriptors: [{
        kind: "pidfd",
        claims: (descriptor) =>
          isPidfd(descriptor) && !isNamedExternal(session.options, descriptor),
        survey: (descriptor) => problemOf(descriptor, pids, threads),
        dump({ descriptor, id, fown }) {
          const { info: { flags, pidfd }, identity: { ino } } = descriptor;
          return {
            type: fd_types.PIDFD,
            pidfd: {
              id,
              ino: Number(BigInt.asUintN(32, BigInt(ino))),
              flags: flags & ~O.CLOEXEC,
              nspid: pidfd?.pid ?? REAPED,
              fown,
            },
          };
        },
      }],
    };
  },

  restore: ({ images }) => ({
    load({ tasks, problem }) {
      if (!images.has(FILES, null)) return;
      const pids = new Set(tasks.map(({ pid }) => pid));
      for (const { pidfd } of images.readList(FILES, null)) {
        if (pidfd === undefined || pidfd.nspid === REAPED || pids.has(pidfd.nspid)) continue;
        problem({
          what:
            `the images have a descriptor that stands for process ${pidfd.nspid}, which is not in them`,
        });
      }
    },
    descriptors: [{
      kind: "pidfd",
      restores: (file) => file.type === fd_types.PIDFD && file.pidfd !== undefined,
      home: ({ pidfd }, proposed) => pidfd?.nspid === REAPED ? "seed" : proposed,
      plan({ file, program, tree }) {
        const { nspid, flags, ino } = file.pidfd as pidfd_entry;
        const made = flags & (O.NONBLOCK | O.EXCL);
        const fd = nspid === REAPED
          ? program.call("fcntl", tree.endedPidfd(`${ino}`, made), F.DUPFD_CLOEXEC, 0)
          : program.call("pidfd_open", nspid, made);
        planStatusFlags(program, fd, flags, made);
        return fd;
      },
    }],
  }),
});

function isPidfd({ link }: Descriptor): boolean {
  return link.kind === "anon-inode" && link.path === "pidfd";
}

/** Says why a descriptor cannot be saved. */
function problemOf(
  { fd, info }: Descriptor,
  pids: ReadonlySet<number>,
  threads: ReadonlySet<number>,
): Omit<Problem, "plugin" | "pid"> | undefined {
  const pid = info.pidfd?.pid ?? REAPED;
  if (pid === REAPED || pids.has(pid)) return undefined;
  const what = `its descriptor ${fd} stands for`;
  if (threads.has(pid)) {
    return {
      what: `${what} thread ${pid}, which is not the first of its process (PIDFD_THREAD)`,
      hint: "close it first",
    };
  }
  // A task that the tree forked meanwhile is none from outside.
  if (pid !== 0 && descends(pid, pids)) return undefined;
  const name = unlessGone(() => readComm(pid), "it has just ended");
  return {
    what: `${what} process ${pid} (${name}) outside of the tree (pidfd)`,
    hint: `close it first, or name it with --external 'fd[${fd}]', and at restore what stands in ` +
      "for it with --inherit-fd",
  };
}
