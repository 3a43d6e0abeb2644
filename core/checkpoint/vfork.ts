/**
 * Threads that wait in vfork(2) (posix_spawn(3), system(3)) for a child to execute a program or to end. They sleep
 * uninterruptibly, so they cannot be stopped, and nothing could put them into that wait again. As a rule it takes
 * a millisecond: so they are waited for, for a bounded time.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { KCMP, kcmp } from "../linux/kcmp.ts";
import { readStat } from "../linux/procfs/mod.ts";

/** For how long a tree that runs is looked at again while one of its threads waits so, in milliseconds. */
export const VFORK_PATIENCE = 1_500;

/** The same, of a tree part of which stands still already. */
export const FROZEN_VFORK_PATIENCE = 1_000;

/** What is to be done about such a thread. */
export const VFORK_HINT = "try again when the child has done so";

/** Why it cannot be saved: what follows "it" or "thread N of task M". @param comm the child's name */
export function describeVfork(child: number, comm: string): string {
  return `waits in vfork(2) for its child ${child} (${comm}), and cannot be stopped until that ` +
    "executes a program or ends";
}

/** Whether a problem is such a thread. */
export function isVfork({ hint }: Problem): boolean {
  return hint === VFORK_HINT;
}

/**
 * The thread of a process that waits in vfork for this child; undefined if none does.
 *
 * @param threads the threads of the process
 */
export function vforkingThread(
  pid: number,
  threads: readonly number[],
  child: number,
): number | undefined {
  // The first one may have ended.
  if (!sharesMemory(child, threads[0] ?? pid)) return undefined;
  return threads.find((tid) => stateOf(pid, tid) === "D");
}

function sharesMemory(pid: number, other: number): boolean {
  try {
    return kcmp(pid, other, KCMP.VM) === 0;
  } catch {
    // One of them is gone, or may not be looked at: the freeze will tell.
    return false;
  }
}

function stateOf(pid: number, tid: number): string | undefined {
  try {
    return readStat(pid, tid).state;
  } catch {
    return undefined;
  }
}
