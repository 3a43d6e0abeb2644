/**
 * Job control: stopping a process that is being built as a stop signal would (a group-stop), by the
 * delivery of that signal to one of its threads.
 *
 * @module
 */
import { syscall } from "../linux/libc_ffi.ts";
import { interrupt, resume, setSignalMask } from "../linux/ptrace.ts";
import { readStat, type TaskStat, unlessGone } from "../linux/procfs/mod.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { ALL_SIGNALS, SIG, signalBit, STOP_SIGNALS } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { pause } from "../linux/pause.ts";
import { awaitStop } from "./reap.ts";
import type { Tracee } from "./tracee.ts";

/**
 * Begins a group-stop of the process of `tracee` as if `signal` had been sent to it; its disposition must be
 * the default. Every other thread has to {@link joinGroupStop} for it to be complete.
 *
 * @param sharedPending the signals that wait for the whole process
 */
export function beginGroupStop(
  tracee: Tracee,
  signal: number,
  sharedPending: readonly Siginfo[],
): void {
  const end = tracee.endSignal(sharedPending);
  // SIGSTOP cannot be blocked, so it arrives; what is delivered in its place must not be blocked either.
  setSignalMask(tracee.tid, ALL_SIGNALS & ~signalBit(end) & ~signalBit(signal));
  // In an orphaned process group the kernel heeds SIGSTOP alone (get_signal() of kernel/signal.c).
  for (const deliver of [signal, SIG.STOP]) {
    if (stopBy(tracee, deliver)) break;
  }
  tracee.hasSettled();
  setSignalMask(tracee.tid, ALL_SIGNALS & ~signalBit(end));
}

/** @returns whether the delivery of this signal stopped the process, or the thread is gone */
function stopBy({ pid, tid }: Tracee, signal: number): boolean {
  syscall(SYSCALLS.tgkill, pid, tid, SIG.STOP);
  resume(tid);
  for (let delivered = false;;) {
    const stop = awaitStop(tid, pid);
    if (stop.kind === "exited" || stop.kind === "killed" || stop.kind === "absent") return true;
    if (stop.kind === "event-stop") {
      if (STOP_SIGNALS.includes(stop.signal)) return true;
      if (delivered) return false;
    }
    const arrived = stop.kind === "signal" && stop.signal === SIG.STOP;
    if (arrived) {
      delivered = true;
      // A signal that stops nothing must not let the thread run on.
      interrupt(tid);
    }
    resume(tid, arrived ? signal : 0);
  }
}

/** How long {@link awaitStoppedAgain} waits at the most, in milliseconds. */
const PATIENCE = 10_000;
/** A thread that has used so much time of a processor does not come to stand still: somebody has sent SIGCONT. In ticks. */
const RUNNING_ON = 2n;

/**
 * Waits until a thread that was let go of in a group-stop of its process has come to stand still there: it has to run
 * for that, and until it does, which may be long on a busy machine, others see a process that runs.
 */
export function awaitStoppedAgain(pid: number, tid: number): void {
  const look = () => unlessGone(() => readStat(pid, tid), undefined);
  const used = ({ userTime, systemTime }: TaskStat) => userTime + systemTime;
  const first = look();
  const end = performance.now() + PATIENCE;
  for (let stat = first; stat?.state === "R"; stat = look()) {
    if (used(stat) - used(first ?? stat) >= RUNNING_ON || performance.now() > end) return;
    pause(0.05);
  }
}

/** Has a thread take part in the group-stop that another one of its process began. */
export function joinGroupStop(tracee: Tracee): void {
  resume(tracee.tid);
  awaitStop(tracee.tid, tracee.pid);
  tracee.hasSettled();
}
