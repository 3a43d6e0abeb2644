/**
 * The frozen tree as the plugins see it.
 *
 * @module
 */
import { core_entry_march } from "../../images/gen/thread_pb.ts";
import { TASK_ALIVE, TASK_DEAD, TASK_STOPPED } from "../../images/flags.ts";
import { KCMP } from "../linux/kcmp.ts";
import type { CoreImage, FrozenTask, FrozenThread } from "../plugin.ts";
import type { Rescuer } from "../remote/undo.ts";
import { openRemote, type ParkedProcess } from "./park.ts";
import { findOwners } from "./sharing.ts";
import type { Task } from "./task.ts";

/** Opens every parked process for calls; `undo` gets what gives its scratch memory back. */
export function openTree(
  processes: readonly ParkedProcess[],
  rescuer: Rescuer,
  undo: DisposableStack,
): FrozenTask[] {
  const pids = processes.map(({ proc }) => proc.pid);
  const files = findOwners(pids, KCMP.FILES);
  const memory = findOwners(pids, KCMP.VM);
  const handlers = findOwners(pids, KCMP.SIGHAND);
  const fs = findOwners(pids, KCMP.FS);
  return processes.map((process) => {
    const { proc, tracees, sharedPending } = process;
    const { pid } = proc;
    const remote = undo.use(openRemote(process, rescuer));
    const threads: FrozenThread[] = [];
    const task: FrozenTask = {
      pid,
      proc,
      remote,
      threads,
      get leader() {
        return threads[0] as FrozenThread;
      },
      sharedPending,
      filesOwner: files.get(pid) as number,
      memoryOwner: memory.get(pid) as number,
      handlersOwner: handlers.get(pid) as number,
      fsOwner: fs.get(pid) as number,
    };
    for (const tracee of tracees) {
      const core = newCore();
      if (tracee.tid === pid) {
        core.tc = {
          taskState: tracee.groupStop === 0 ? TASK_ALIVE : TASK_STOPPED,
          stopSigno: tracee.groupStop === 0 ? undefined : tracee.groupStop,
          exitCode: 0,
          personality: 0,
          flags: proc.stat.flags,
          blkSigset: tracee.signalMask,
          comm: proc.stat.comm,
        };
      }
      core.threadCore.blkSigset = tracee.signalMask;
      threads.push({ tid: tracee.tid, task, tracee, core });
    }
    return task;
  });
}

function newCore(): CoreImage {
  return { mtype: core_entry_march.X86_64, threadCore: { futexRla: 0n, futexRlaLen: 0 } };
}

/** The core image of a zombie: how it ended, and who it was, which waitid(2) tells. CRIU reads the former alone. */
export function zombieCore({ stat, status: { uids, gids } }: Task): CoreImage {
  return {
    mtype: core_entry_march.X86_64,
    tc: {
      taskState: TASK_DEAD,
      exitCode: stat.exitCode,
      personality: 0,
      flags: stat.flags,
      blkSigset: 0n,
      comm: stat.comm,
    },
    threadCore: {
      futexRla: 0n,
      futexRlaLen: 0,
      creds: {
        uid: uids[0],
        euid: uids[1],
        suid: uids[2],
        fsuid: uids[3],
        gid: gids[0],
        egid: gids[1],
        sgid: gids[2],
        fsgid: gids[3],
        secbits: 0,
      },
    },
  };
}
