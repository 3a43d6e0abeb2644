/**
 * Processes whose first thread has ended while others run (pthread_exit(3) in `main()`; Go programs, Java virtual
 * machines and daemons are such): what of them cannot be saved. All that the process has is looked at by way of
 * another thread ({@link Task.liveTid}).
 *
 * Nobody is told of that end before the last thread's. If nothing ends the process as a whole, its parent is told of
 * the last thread's exit status then, and before Linux 6.0 of the first one's (synchronize_group_exit() and
 * wait_task_zombie() of `kernel/exit.c`); `/proc/PID/task/PID/stat` tells the latter all the time.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { hasThreadPidfds } from "../linux/pidfd.ts";
import { readStat } from "../linux/procfs/mod.ts";
import { SIG, signalName } from "../linux/signals.ts";
import type { Task } from "./task.ts";

/** The bits of a wait status that name the signal. */
const SIGNAL_BITS = 0x7f;

/** How the first thread of a process has ended, as a wait status. (`/proc/PID/stat` tells of the process.) */
export function firstThreadStatus(pid: number): number {
  return readStat(pid, pid).exitCode;
}

/** What stands against saving such a process. */
export function leaderlessProblems({ pid }: Task): Problem[] {
  const problem = (what: string, hint: string) => [{ pid, plugin: "core", what, hint }];
  if (!hasThreadPidfds()) {
    return problem(
      "its first thread has ended while others run, and this kernel hands out no descriptors of the others",
      "boot Linux 6.9 or later, or try again when those have ended, too",
    );
  }
  // One thread alone dies of a signal by a seccomp filter's verdict (SECCOMP_RET_KILL_THREAD), or a fault in the kernel.
  const signal = firstThreadStatus(pid) & SIGNAL_BITS;
  if (signal === 0 || signal === SIG.SYS) return [];
  return problem(
    `its first thread alone has died of ${signalName(signal)}, which no other can be made to do`,
    "the kernel's log tells why; try again when the other threads have ended, too",
  );
}
