/**
 * Stopping a thread: PTRACE_SEIZE, PTRACE_INTERRUPT, and waiting until it stands still, past whatever else it may
 * stop for on its way.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { type Cancellation, uncancelled } from "../cancellation.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { interrupt, PTRACE_EVENT_EXEC, resume, seize, type Stop } from "../linux/ptrace.ts";
import type { ThreadState } from "../linux/ptrace_many.ts";
import { STOP_SIGNALS } from "../linux/signals.ts";
import { pause } from "../linux/pause.ts";
import { nextStop } from "./reap.ts";
import { Tracee } from "./tracee.ts";

/** How long a thread of a tree that is being built may take to stop, in milliseconds. */
const STOP_TIMEOUT = 10_000;

/** What {@link lookAt} found. */
export type Look =
  /** It stands still. */
  | { readonly kind: "stopped"; readonly tracee: Tracee }
  /**
   * It has executed a program, in which it will stop next: the id is that of its process, whatever it was
   * before, and all other threads are gone.
   */
  | { readonly kind: "executed" }
  /** It was on its way: there may be more to see at once. */
  | { readonly kind: "moved" }
  /** It has not stopped yet. */
  | { readonly kind: "none" }
  /** There is none any more with this id. */
  | { readonly kind: "gone" };

/**
 * Begins to stop a thread: seizes and interrupts it, without waiting.
 *
 * @param options bits of PTRACE_O
 * @returns false if the thread does not exist (any more)
 * @throws {StasisError} `no-privilege`, or where somebody traces it already
 */
export function beginStop(tid: number, options: bigint): boolean {
  let seized: bigint;
  do seized = seize(tid, options); while (seized === -BigInt(Errno.EINTR));
  if (seized === -BigInt(Errno.ESRCH)) return false;
  if (isErrno(seized)) throw cannotTrace(tid, seized);
  interrupt(tid);
  return true;
}

/**
 * Waits until a thread that was begun, or that a tracee made with CLONE_PTRACE, stands still.
 *
 * @param options the options that it was seized with, or has from the tracee that made it
 * @returns undefined if it ended meanwhile
 * @throws {StasisError} `timeout` if it did not stop in time, `cancelled`; it is traced still, see `detachAsked()`
 */
export function finishStop(
  tid: number,
  pid: number,
  options: bigint,
  cancellation: Cancellation = uncancelled(),
): Tracee | undefined {
  const deadline = performance.now() + STOP_TIMEOUT;
  for (let spins = 0;; spins++) {
    const look = lookAt(tid, pid, options, cancellation);
    if (look.kind === "stopped") return look.tracee;
    if (look.kind === "gone") return undefined;
    if (look.kind === "moved") continue;
    cancellation.throwIfCancelled();
    if (performance.now() > deadline) throw cannotStop(tid, pid);
    // It stops within microseconds as a rule; one that does not is not worth a busy processor.
    if (spins > 50) pause(0.2);
  }
}

/**
 * Looks whether a thread that was asked to stop has done so, and moves it on where it stopped for another
 * reason.
 *
 * @param options the options that it was seized with, or has from the tracee that made it
 * @param cancellation of the operation that the tracee is for
 */
export function lookAt(
  tid: number,
  pid: number,
  options: bigint,
  cancellation: Cancellation = uncancelled(),
): Look {
  return afterStop(nextStop(tid, pid), tid, pid, options, cancellation);
}

/**
 * The same for a thread of which it is known what it has done.
 *
 * @param state what it was found with where it stands still, if that has been read already
 */
export function afterStop(
  stop: Stop,
  tid: number,
  pid: number,
  options: bigint,
  cancellation: Cancellation,
  state?: ThreadState,
): Look {
  try {
    switch (stop.kind) {
      case "none":
        return { kind: "none" };
      case "event-stop": {
        const groupStop = STOP_SIGNALS.includes(stop.signal) ? stop.signal : 0;
        const tracee = new Tracee(tid, pid, groupStop, options, cancellation, state);
        return { kind: "stopped", tracee };
      }
      case "exited":
      case "killed":
      case "absent":
        return { kind: "gone" };
      default: {
        // Any stop takes back what was asked for before it (ptrace_stop() of kernel/signal.c).
        interrupt(tid);
        // A signal that it was about to take it takes: its handler's frame is state as any other.
        resume(tid, stop.kind === "signal" ? stop.signal : 0);
        const executed = stop.kind === "event" && stop.event === PTRACE_EVENT_EXEC;
        return { kind: executed ? "executed" : "moved" };
      }
    }
  } catch (error) {
    // It was killed in this very moment: its end is the next thing to be told.
    if (error instanceof StasisError && error.code === "no-such-task") return { kind: "moved" };
    throw error;
  }
}

/** The error for a thread that PTRACE_SEIZE refuses. @param result what it returned */
export function cannotTrace(tid: number, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("no-privilege", `thread ${tid} cannot be traced: ${errno}`, {
    pid: tid,
    errno,
    hint: "another tracer (a debugger, strace) must let go of it first, and tracing needs the " +
      "same user or CAP_SYS_PTRACE",
  });
}

/** The error for a thread that does not stop in time. */
export function cannotStop(tid: number, pid: number): StasisError {
  return new StasisError("timeout", `thread ${tid} of task ${pid} does not stop`, {
    pid,
    hint:
      "it is in an uninterruptible sleep (state D: a vfork, a dead network file system), or the machine " +
      "is slow: try later, or allow it more time (--timeout)",
  });
}
