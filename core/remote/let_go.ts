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
import { readStat } from "../linux/procfs/mod.ts";
import { detach, waitForStop } from "../linux/ptrace.ts";

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

function lookAfter(): void {
  for (const tid of stragglers) if (tryToEnd(tid)) stragglers.delete(tid);
  if (stragglers.size > 0) return;
  clearInterval(timer);
  timer = undefined;
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
    return state === "Z" && ppid === Deno.pid;
  } catch {
    return false;
  }
}
