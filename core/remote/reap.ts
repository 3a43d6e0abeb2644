/**
 * Reaping threads that ended while this process traced them, and waiting for those whose end the kernel does
 * not tell before.
 *
 * @module
 */
import { Errno, isErrno } from "../linux/errno.ts";
import { addressOf, syscall } from "../linux/libc_ffi.ts";
import { readStat, readStatus, readTasks, unlessGone } from "../linux/procfs/mod.ts";
import { signalStop, type Stop, waitForStop } from "../linux/ptrace.ts";
import { LOOK_FOR_ALL } from "../linux/x86_64/interrupt_code.ts";
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
 *
 * @param pid its process
 * @param whileWaiting is called now and then, and may throw: then nothing has been taken of what the tracee does
 * @param leavesSignals whether a signal that it is about to take is left to be told again ({@link nextStop})
 */
export function awaitStop(
  tid: number,
  pid: number,
  whileWaiting?: () => void,
  leavesSignals = false,
): Stop {
  const mayCome = (): boolean => {
    const { threads, tgid, tracerPid } = unlessGone(() => readStatus(tid), NOBODY);
    if (tracerPid !== ownTid()) return false;
    if (tgid === tid && threads > 1) reapOthers(tid);
    return true;
  };
  for (;;) {
    const seen = look(tid, LOOK_FOR_ALL);
    if (seen.result === -BigInt(Errno.EINTR)) {
      whileWaiting?.();
      if (mayCome()) continue;
    }
    const stop = (leavesSignals ? untaken(seen) : undefined) ?? take(tid, pid, seen);
    if (stop.kind !== "none") return stop;
  }
}

/**
 * What a tracee has done, if it has done anything; how a child of this process ended is for whoever started it here.
 *
 * A signal that it is about to take is left to be told again: the tracee takes it still if this process dies, and does
 * not once that has been told (wait_task_stopped() of `kernel/exit.c`). So whoever asks has it go on with it.
 *
 * @param pid its process
 */
export function nextStop(tid: number, pid: number): Stop {
  const seen = look(tid, LOOK_FOR_ALL | WNOHANG);
  if (seen.result === -BigInt(Errno.EINTR)) return { kind: "none" };
  return untaken(seen) ?? take(tid, pid, seen);
}

/** A signal that a tracee is about to take; undefined where it has something else to tell, or nothing. */
function untaken({ result, signal, code, status }: Look): Stop | undefined {
  return result === 0n && signal !== 0 ? signalStop(code, status) : undefined;
}

function take(tid: number, pid: number, { result, signal, code, status }: Look): Stop {
  if (isErrno(result)) return { kind: "absent" };
  if (signal === 0) return { kind: "none" };
  if (code > CLD_DUMPED || tid !== pid || !isDeadChild(tid)) return waitForStop(tid, false);
  return code === CLD_EXITED
    ? { kind: "exited", code: status }
    : { kind: "killed", signal: status };
}

/**
 * Waits until a tracee has something to tell, and leaves that to be told.
 *
 * @param whileWaiting is called now and then, where there are `Interruptions`
 */
export function awaitNews(tid: number, whileWaiting: () => void): void {
  while (look(tid, LOOK_FOR_ALL).result === -BigInt(Errno.EINTR)) whileWaiting();
}

const NOBODY = { threads: 0, tgid: 0, tracerPid: 0 };

/** Reaps the other threads of a process if its first one has ended. */
export function reapOthers(pid: number): void {
  if (unlessGone(() => readStat(pid).state, "X") !== "Z") return;
  for (const tid of unlessGone(() => readTasks(pid), [])) if (tid !== pid) reapIfEnded(tid);
}

/** The id by which `/proc` names this very thread as a tracer. */
function ownTid(): number {
  return Number(syscall(SYSCALLS.gettid));
}

/** Of waitid(2); then WNOHANG | WEXITED | WNOWAIT | __WALL. */
const WNOHANG = 1;
const LOOK_FOR_END = WNOHANG | 0x4 | 0x01000000 | 0x40000000;
const P_PID = 1;
/** si_code: CLD_EXITED, CLD_KILLED and CLD_DUMPED tell of an end, higher ones of a stop. */
const CLD_EXITED = 1, CLD_DUMPED = 3;

const info = new Int32Array(32);
/** Taken once: asking for it costs as much as the call. */
const infoAddress = addressOf(new Uint8Array(info.buffer));

/** What waitid(2) tells: the call's result, and of a SIGCHLD; `signal` is 0 where there is nothing to tell. */
interface Look {
  readonly result: bigint;
  readonly signal: number;
  readonly code: number;
  readonly status: number;
}

/** Looks at what wait(2) would tell of a thread, and leaves it there. */
function look(tid: number, options: number): Look {
  const result = syscall(SYSCALLS.waitid, P_PID, tid, infoAddress, options, 0);
  // The parts of siginfo_t that a SIGCHLD has (include/uapi/asm-generic/siginfo.h).
  const [signal, , code, , , , status] = info as unknown as number[];
  return { result, signal: signal as number, code: code as number, status: status as number };
}

/** Reaps a traced thread if it has ended, and leaves its stops alone. */
function reapIfEnded(tid: number): void {
  // Stops of tracees are told whatever is asked for, and would be used up: so this only looks.
  const { result, signal, code } = look(tid, LOOK_FOR_END);
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
