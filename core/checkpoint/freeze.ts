/**
 * The freeze: seizes and interrupts every thread, until the tree is closed under fork and clone: a pass
 * over all threads and children that finds nothing new.
 *
 * @module
 */
import { StasisError } from "../errors.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { peekSiginfo, PTRACE_O } from "../linux/ptrace.ts";
import { mappingKind, readChildren, readStat, readStatus, readTasks } from "../linux/procfs/mod.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { type CodeRegion, RemoteTask } from "../remote/remote_task.ts";
import { letGo, reapIfEnded } from "../remote/let_go.ts";
import { Tracee } from "../remote/tracee.ts";
import { Task } from "./task.ts";

/** A process all of whose threads stand still. */
export interface StoppedProcess {
  readonly proc: Task;
  /** The leader first, then by ascending tid. */
  readonly tracees: readonly Tracee[];
  /** The signals that wait for the whole process. */
  readonly sharedPending: readonly Siginfo[];
}

/** A tree that stands still, and its zombies. */
export interface StoppedTree {
  readonly processes: readonly StoppedProcess[];
  readonly zombies: readonly Task[];
}

/** How long a thread may take to stop, in milliseconds; one in uninterruptible sleep takes longer. */
const STOP_TIMEOUT = 10_000;

const OPTIONS = PTRACE_O.TRACESYSGOOD;

/**
 * Stops a whole tree.
 *
 * @param undo gets the release of every thread, as soon as it is stopped
 */
export function freezeTree(root: number, undo: DisposableStack): StoppedTree {
  const stopped = new Map<number, Map<number, Tracee>>([[root, new Map()]]);
  const zombies = new Set<number>();
  for (let grew = true; grew;) {
    grew = false;
    for (const [pid, tracees] of stopped) {
      if (freezeProcess(pid, tracees, undo, pid === root)) grew = true;
      if (tracees.size === 0) {
        stopped.delete(pid);
        if (isZombie(pid)) zombies.add(pid);
        continue;
      }
      for (const child of readChildren(pid)) {
        if (stopped.has(child) || zombies.has(child)) continue;
        stopped.set(child, new Map());
        grew = true;
      }
    }
  }
  if (!stopped.has(root)) {
    throw new StasisError("no-such-task", `task ${root} ended while it was being frozen`, {
      pid: root,
    });
  }
  const processes = [...stopped].map(([pid, tracees]): StoppedProcess => {
    const leader = tracees.get(pid);
    if (leader === undefined) {
      throw new StasisError("unsupported", `the first thread of task ${pid} has ended`, { pid });
    }
    const others = [...tracees.values()].filter((one) => one !== leader);
    others.sort((a, b) => a.tid - b.tid);
    return {
      proc: new Task(pid),
      tracees: [leader, ...others],
      sharedPending: peekSiginfo(pid, true),
    };
  });
  for (const { proc } of processes) {
    // A task that ended between two looks may have left its pid to a stranger.
    if (proc.pid === root || stopped.has(proc.stat.ppid)) continue;
    throw new StasisError(
      "no-such-task",
      `task ${proc.pid} left the tree while it was being frozen`,
      {
        pid: proc.pid,
        hint: "try again",
      },
    );
  }
  return { processes, zombies: [...zombies].map((pid) => new Task(pid)) };
}

/** Stops the threads of one process that run still. @returns whether there were any */
function freezeProcess(
  pid: number,
  tracees: Map<number, Tracee>,
  undo: DisposableStack,
  isRoot: boolean,
): boolean {
  // Threads that were asked to stop and have not been taken yet: a failure must not leave them behind.
  const asked = new Set<number>();
  undo.defer(() => asked.forEach(letGo));
  let any = false;
  for (let vanished = false;;) {
    const fresh: number[] = [];
    // A listing lacks what a thread that has just ended made before, and may break off at such a one
    // (next_tid() of fs/proc/base.c).
    let complete = true;
    for (const tid of threadsOf(pid, isRoot)) {
      if (tracees.has(tid)) continue;
      try {
        if (Tracee.begin(tid, OPTIONS)) {
          fresh.push(tid);
          asked.add(tid);
        } else {
          vanished = true;
          complete = false;
        }
      } catch (error) {
        if (isOurs(pid, tid)) {
          // Another thread, seized already, has taken this id by execve(2).
          fresh.push(tid);
          asked.add(tid);
          continue;
        }
        // A thread that has ended cannot be seized, and need not be.
        if (!isZombie(pid, tid)) throw explainRefusal(error, pid, tid);
        if (tid !== pid) complete = false;
      }
    }
    if (fresh.length > 0) any = true;
    for (const tid of fresh) {
      // One that ends the others waits until they have been reaped here.
      const reap = () => {
        for (const tracee of tracees.values()) tracee.isThere();
        for (const other of asked) if (other !== tid) reapIfEnded(other);
      };
      const tracee = Tracee.finish(tid, pid, OPTIONS, STOP_TIMEOUT, reap);
      asked.delete(tid);
      if (tracee === undefined) {
        vanished = true;
        // It has ended, or goes on under the leader's id and is traced still (execve(2)).
        if (tid !== pid) asked.add(pid);
        continue;
      }
      tracees.set(tid, tracee);
      undo.defer(() => tracee.release());
      if (tracee.registers.isCompat) {
        throw new StasisError("unsupported", `thread ${tid} of task ${pid} runs 32-bit code`, {
          pid,
          hint: "only 64-bit x86-64 programs can be checkpointed",
        });
      }
    }
    if (fresh.length > 0 || !complete) continue;
    if (vanished || tracees.size > 1) forgetEnded(pid, tracees);
    return any;
  }
}

/**
 * Forgets threads that were stopped and then ended by another one that was not yet.
 *
 * @throws {StasisError} `no-such-task` where it was by execve(2): another program has the leader's id now
 */
function forgetEnded(pid: number, tracees: Map<number, Tracee>): void {
  for (const [tid, tracee] of tracees) {
    if (tracee.isThere()) continue;
    tracees.delete(tid);
    if (tid !== pid || isZombie(pid)) continue;
    throw new StasisError(
      "no-such-task",
      `task ${pid} executed another program while it was being frozen`,
      { pid, hint: "try again" },
    );
  }
}

function threadsOf(pid: number, isRoot: boolean): readonly number[] {
  try {
    return readTasks(pid);
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task" && !isRoot) return [];
    throw error;
  }
}

/** Whether this very thread of the tool traces it: `TracerPid` is the id of a thread. */
function isOurs(pid: number, tid: number): boolean {
  try {
    return readStatus(pid, tid).tracerPid === Number(syscall(SYSCALLS.gettid));
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task") return false;
    throw error;
  }
}

function isZombie(pid: number, tid?: number): boolean {
  try {
    return ["Z", "X"].includes(readStat(pid, tid).state);
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task") return tid !== undefined;
    throw error;
  }
}

/** Tells a thread that somebody else traces from one that this user may not trace. */
function explainRefusal(error: unknown, pid: number, tid: number): unknown {
  if (!(error instanceof StasisError) || error.code !== "no-privilege") return error;
  const { tracerPid } = readStatus(pid, tid);
  if (tracerPid === 0) return error;
  return new StasisError(
    "unsupported",
    `thread ${tid} of task ${pid} is traced already, by task ${tracerPid}`,
    { pid, errno: error.errno, hint: "end the debugger, strace or other tracer first" },
  );
}

/** Opens a stopped process for remote calls. */
export function openRemote(process: StoppedProcess): RemoteTask {
  const { proc, tracees, sharedPending } = process;
  return new RemoteTask(tracees[0] as Tracee, sharedPending, codeRegions(proc), {
    pid: proc.status.nsTgid.at(-1) ?? proc.pid,
    tid: (tid) => tid === proc.pid ? proc.status.nsPid.at(-1) ?? tid : innerTid(proc, tid),
  });
}

function innerTid(proc: Task, tid: number): number {
  // One namespace level: the ids are the same, and 1000 threads need no 1000 files.
  if (proc.status.nsPid.length <= 1) return tid;
  return readStatus(proc.pid, tid).nsPid.at(-1) ?? tid;
}

/** Where the task has code: the vDSO first, which has a system call instruction, then the rest. */
function* codeRegions(proc: Task): Generator<CodeRegion> {
  const vdso = proc.vmas.find((vma) => mappingKind(vma) === "vdso");
  if (vdso !== undefined) yield vdso;
  for (const vma of proc.vmas) {
    if (vma !== vdso && (vma.prot & 4) !== 0 && mappingKind(vma) !== "vsyscall") yield vma;
  }
}
