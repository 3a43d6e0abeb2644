/**
 * Letting go of threads that this process traces, in whatever state they are.
 *
 * PTRACE_DETACH wants a thread that stands still. One that was asked to stop and has not yet (it is in an
 * uninterruptible sleep), or that is dying, has to be waited for, which may take long; and until it is, it
 * would stop some day and stay so, or stay a zombie that its own parent cannot reap. So such threads are looked
 * after from a timer that does not keep this process alive: when it ends, the kernel lets go of all.
 *
 * A thread whose id is gone has ended, or has executed a program: then it goes on under the id of its process,
 * and is traced still (execve(2) under ptrace, ptrace(2)). So that id is let go of, too.
 *
 * @module
 */
import { detach, standsStill } from "../linux/ptrace.ts";
import { pause } from "../linux/pause.ts";
import { isDeadChild, isTracedHere, nextStop } from "./reap.ts";

const INTERVAL = 20; // milliseconds
const DYING_TRIES = 20;
const DYING_PAUSE = 0.1; // milliseconds
/** Threads by their ids, each with that of its process. */
const stragglers = new Map<number, number>();
let timer: ReturnType<typeof setInterval> | undefined;

/**
 * Ends the tracing of a thread whose stop has been taken, at once or as soon as that is possible.
 *
 * @param pid its process, all of whose threads are to be let go of
 */
export function detachThread(tid: number, pid: number): void {
  if (detach(tid) !== 0n) detachAsked(tid, pid);
}

/**
 * The same for a thread that was asked to stop and that nobody has looked at since: it may have stopped for a signal,
 * which would be lost if it were not given to it.
 */
export function detachAsked(tid: number, pid: number): void {
  // One that is dying has done so in a moment, and another one may wait for that in execve(2).
  for (let tries = 0; tries < DYING_TRIES; tries++) {
    if (tryToEnd(tid, pid)) return;
    pause(DYING_PAUSE);
  }
  stragglers.set(tid, pid);
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
  for (const [tid, pid] of stragglers) if (tryToEnd(tid, pid)) stragglers.delete(tid);
  if (stragglers.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

/** @returns whether the thread is not traced any more */
function tryToEnd(tid: number, pid: number): boolean {
  // How a child of this process ended is for whoever started it here.
  if (isDeadChild(tid)) return true;
  for (;;) {
    // In this order: one that stops only now, for a signal perhaps, tells of it the next time.
    const stands = standsStill(tid);
    const stop = nextStop(tid, pid);
    if (stop.kind === "none") {
      // What is not traced, but was started here, has nothing to tell either; nor what stands still, and whose
      // stop has been taken.
      return !isTracedHere(pid, tid) || (stands && detach(tid) === 0n);
    }
    if (stop.kind === "exited" || stop.kind === "killed") return true;
    if (stop.kind === "absent") {
      if (tid !== pid) detachAsked(pid, pid);
      return true;
    }
    if (detach(tid, stop.kind === "signal" ? stop.signal : 0) === 0n) return true;
  }
}
