/**
 * Letting go of threads that this process traces, in whatever state they are.
 *
 * PTRACE_DETACH wants a thread that stands still. One that was asked to stop and has not yet (it is in an
 * uninterruptible sleep), or that is dying, has to be waited for, which may take long; and until it is, it
 * would stop some day and stay so, or stay a zombie that its own parent cannot reap. So such threads are looked
 * after from a timer that does not keep this process alive: when it ends, the kernel lets go of all.
 *
 * @module
 */
import { syscall } from "../linux/libc_ffi.ts";
import { readStat, readStatus } from "../linux/procfs/mod.ts";
import { detach, waitForStop } from "../linux/ptrace.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

const INTERVAL = 20; // milliseconds
const stragglers = new Set<number>();
let timer: ReturnType<typeof setInterval> | undefined;

/** Ends the tracing of a thread, at once or as soon as that is possible. */
export function letGo(tid: number): void {
  if (detach(tid) === 0n || tryToEnd(tid)) return;
  stragglers.add(tid);
  if (timer !== undefined) return;
  const started = setInterval(lookAfter, INTERVAL);
  Deno.unrefTimer(started);
  timer = started;
}

/** How many threads are still waited for. */
export function stragglerCount(): number {
  return stragglers.size;
}

function lookAfter(): void {
  for (const tid of stragglers) if (tryToEnd(tid)) stragglers.delete(tid);
  if (stragglers.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

/** P_PID; WNOHANG | WEXITED | WNOWAIT | __WALL (waitid(2)). */
const P_PID = 1;
const LOOK = 0x1 | 0x4 | 0x01000000 | 0x40000000;
/** si_code: CLD_EXITED, CLD_KILLED and CLD_DUMPED tell of an end, higher ones of a stop. */
const CLD_DUMPED = 3;

/**
 * Reaps a traced thread if it has ended, and leaves its stops alone. In execve(2) a thread waits until all
 * others have been reaped, which for traced ones is the tracer's to do.
 */
export function reapIfEnded(tid: number): void {
  const info = new Int32Array(32);
  // Stops of tracees are told whatever is asked for, and would be used up: so this only looks.
  const result = syscall(SYSCALLS.waitid, P_PID, tid, new Uint8Array(info.buffer), LOOK, 0);
  const [signal, , code] = info as unknown as [number, number, number];
  if (result !== 0n || signal === 0 || code > CLD_DUMPED || isDeadChild(tid)) return;
  waitForStop(tid, false);
}

/** @returns whether the thread is not traced any more */
function tryToEnd(tid: number): boolean {
  // How a child of this process ended is for whoever started it here.
  if (isDeadChild(tid)) return true;
  for (;;) {
    const stop = waitForStop(tid, false);
    if (stop.kind === "none") return false;
    if (stop.kind === "exited" || stop.kind === "killed" || stop.kind === "absent") return true;
    if (detach(tid, stop.kind === "signal" ? stop.signal : 0) === 0n) return true;
  }
}

function isDeadChild(tid: number): boolean {
  try {
    const { state, ppid } = readStat(tid);
    // Threads have no parent that would reap them: only a whole process has.
    return state === "Z" && ppid === Deno.pid && readStatus(tid).tgid === tid;
  } catch {
    return false;
  }
}
