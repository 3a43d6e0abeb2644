/**
 * Reaping threads that ended while this process traced them, and waiting for those whose end the kernel does
 * not tell before.
 *
 * @module
 */
import { syscall } from "../linux/libc_ffi.ts";
import { readStat, readStatus, readTasks, unlessGone } from "../linux/procfs/mod.ts";
import { type Stop, waitForStop } from "../linux/ptrace.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

/**
 * Waits until a tracee stops or ends. Two things would make that last for ever, and are looked for now and then,
 * which takes `Interruptions` (`core/linux/interruptions.ts`):
 *
 * - The end of a process's first thread is not told while other threads of it have not been reaped
 *   (`delay_group_leader()` of `kernel/exit.c`), which for traced ones is the tracer's to do. If it has died
 *   with them, they are reaped here.
 * - A process that was started here, and whose first thread another one has replaced by execve(2), is there
 *   to be waited for, but is no tracee.
 */
export function awaitStop(tid: number): Stop {
  return waitForStop(tid, true, () => {
    const { threads, tgid, tracerPid } = unlessGone(() => readStatus(tid), NOBODY);
    if (tracerPid !== ownTid()) return false;
    if (tgid === tid && threads > 1) reapOthers(tid);
    return true;
  });
}

const NOBODY = { threads: 0, tgid: 0, tracerPid: 0 };

/** Reaps the other threads of a process if its first one has ended. */
function reapOthers(pid: number): void {
  if (unlessGone(() => readStat(pid).state, "X") !== "Z") return;
  for (const tid of unlessGone(() => readTasks(pid), [])) if (tid !== pid) reapIfEnded(tid);
}

/** The id by which `/proc` names this very thread as a tracer. */
function ownTid(): number {
  return Number(syscall(SYSCALLS.gettid));
}

/** P_PID; WNOHANG | WEXITED | WNOWAIT | __WALL (waitid(2)). */
const P_PID = 1;
const LOOK = 0x1 | 0x4 | 0x01000000 | 0x40000000;
/** si_code: CLD_EXITED, CLD_KILLED and CLD_DUMPED tell of an end, higher ones of a stop. */
const CLD_DUMPED = 3;

/** Reaps a traced thread if it has ended, and leaves its stops alone. */
function reapIfEnded(tid: number): void {
  const info = new Int32Array(32);
  // Stops of tracees are told whatever is asked for, and would be used up: so this only looks.
  const result = syscall(SYSCALLS.waitid, P_PID, tid, new Uint8Array(info.buffer), LOOK, 0);
  const [signal, , code] = info as unknown as [number, number, number];
  if (result !== 0n || signal === 0 || code > CLD_DUMPED) return;
  waitForStop(tid, false);
}

/**
 * Whether this very thread of the tool traces a thread (`TracerPid` is the id of a thread).
 *
 * @param tid the thread; the first one if absent
 */
export function isTracedHere(pid: number, tid: number = pid): boolean {
  return unlessGone(() => readStatus(pid, tid).tracerPid === ownTid(), false);
}

/** Whether this is a process that this one started, and that has ended with all its threads. */
export function isDeadChild(tid: number): boolean {
  try {
    const { state, ppid, threads } = readStat(tid);
    // A first thread that has ended alone makes room for another one, perhaps, which executes a program.
    if (state !== "Z" || ppid !== Deno.pid || threads !== 1) return false;
    // Threads have no parent that would reap them: only a whole process has.
    return readStatus(tid).tgid === tid;
  } catch {
    return false;
  }
}
