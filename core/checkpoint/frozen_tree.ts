/**
 * The frozen tree as the plugins see it.
 *
 * @module
 */
import { core_entry_march } from "../../images/gen/thread_pb.ts";
import { TASK_ALIVE, TASK_DEAD, TASK_STOPPED } from "../../images/flags.ts";
import { KCMP } from "../linux/kcmp.ts";
import { readStatus, type TaskStatus } from "../linux/procfs/mod.ts";
import type { CoreImage, FrozenTask, FrozenThread, FrozenTree, SavedTree } from "../plugin.ts";
import { RemoteTask } from "../remote/remote_task.ts";
import type { Rescuer } from "../remote/undo.ts";
import { openRemote, type ParkedProcess } from "./park.ts";
import { findOwners } from "./sharing.ts";
import type { Task } from "./task.ts";

/** A task that calls can be made in. There are thousands: V8 makes a hash table of an object that is written with a getter. */
class OpenedTask implements FrozenTask {
  readonly filesOwner: number;
  readonly memoryOwner: number;
  readonly handlersOwner: number;
  readonly fsOwner: number;

  constructor(
    readonly pid: number,
    readonly proc: Task,
    readonly remote: RemoteTask,
    readonly threads: readonly FrozenThread[],
    readonly sharedPending: FrozenTask["sharedPending"],
    { files, memory, handlers, fs }: Readonly<
      Record<"files" | "memory" | "handlers" | "fs", number>
    >,
  ) {
    this.filesOwner = files;
    this.memoryOwner = memory;
    this.handlersOwner = handlers;
    this.fsOwner = fs;
  }

  get leader(): FrozenThread {
    return this.threads[0] as FrozenThread;
  }
}

/** Opens every parked process for calls; `undo` gets what gives its scratch memory back. */
export function openTree(
  processes: readonly ParkedProcess[],
  rescuer: Rescuer,
  undo: DisposableStack,
): FrozenTask[] {
  const tasks = processes.map(({ proc }) => proc);
  const files = findOwners(tasks, KCMP.FILES);
  const memory = findOwners(tasks, KCMP.VM);
  const handlers = findOwners(tasks, KCMP.SIGHAND);
  const fs = findOwners(tasks, KCMP.FS);
  const remotes: RemoteTask[] = [];
  const opened = processes.map((process) => {
    const { proc, tracees, sharedPending } = process;
    const { pid } = proc;
    const remote = undo.use(openRemote(process, rescuer));
    remotes.push(remote);
    const threads: FrozenThread[] = [];
    const task = new OpenedTask(pid, proc, remote, threads, sharedPending, {
      files: files.get(pid) as number,
      memory: memory.get(pid) as number,
      handlers: handlers.get(pid) as number,
      fs: fs.get(pid) as number,
    });
    for (const tracee of tracees) {
      const core = newCore();
      if (tracee === tracees[0]) {
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
  undo.defer(() => RemoteTask.giveBackAll(remotes));
  return opened;
}

/** What stays known of a tree when it does not stand still any more. */
export function describeSaved({ tasks, zombies }: FrozenTree): SavedTree {
  return { tasks: tasks.map(({ proc }) => proc), zombies };
}

function newCore(): CoreImage {
  return { mtype: core_entry_march.X86_64, threadCore: { futexRla: 0n, futexRlaLen: 0 } };
}

/** The core image of a zombie: how it ended, and who it was, which waitid(2) tells. CRIU reads the former alone. */
export function zombieCore({ stat, status }: Task): CoreImage {
  const { exitCode, flags, comm } = stat;
  return {
    ...endedCore(status),
    tc: { taskState: TASK_DEAD, exitCode, personality: 0, flags, blkSigset: 0n, comm },
  };
}

/** The core image of a thread, or of a first thread that has ended. */
export interface CoreOf {
  readonly tid: number;
  readonly core: CoreImage;
}

/** The core images of a task. */
export function coresOf(task: FrozenTask): CoreOf[] {
  const { proc: { pid, isLeaderless }, leader, threads } = task;
  if (!isLeaderless) return threads.map(({ tid, core }) => ({ tid, core }));
  return [
    { tid: pid, core: endedLeaderCore(task) },
    ...threads.map(({ tid, core }) => ({
      tid,
      core: tid === leader.tid ? { ...core, tc: undefined } : core,
    })),
  ];
}

/**
 * The core image of the first thread of a task, where it has ended while others live: what belongs to the whole task,
 * and who it was, which is what waitid(2) tells of the task in the end.
 */
function endedLeaderCore({ proc, leader }: FrozenTask): CoreImage {
  const { comm } = proc.stat;
  const { tc, threadCore: { cgSet } } = leader.core;
  const ended = endedCore(readStatus(proc.pid));
  return {
    ...ended,
    tc: tc && { ...tc, comm },
    // Who moves a process moves those of its threads that live.
    threadCore: { ...ended.threadCore, cgSet },
  };
}

function endedCore({ uids, gids }: TaskStatus): CoreImage {
  return {
    mtype: core_entry_march.X86_64,
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
