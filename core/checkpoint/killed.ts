/**
 * Telling that a task was killed while it was being saved from all the ways in which that shows: a thread that
 * cannot be asked any more, a file of `/proc` that is gone, a program that did not come to its end.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { sleep } from "../linux/libc_ffi.ts";
import { errnoOf, readStat, unlessGone } from "../linux/procfs/mod.ts";
import type { Task } from "./task.ts";

/** How long a task may take from its being killed to its end, in milliseconds; it is mostly memory to be freed. */
const DYING = 2_000;

/**
 * The error to report: that a task was killed, if one was, and otherwise the error itself. To be asked before
 * the tasks are let run on: after that one may end by itself, and have nothing to do with it.
 *
 * @param tasks the tasks that stand still
 */
export async function explainKilled(error: unknown, tasks: readonly Task[]): Promise<unknown> {
  // What the user did, or the disk, has nothing to do with it.
  if (error instanceof StasisError && ["cancelled", "io"].includes(error.code)) return error;
  const deadline = performance.now() + (saysGone(error) ? DYING : 0);
  let killed = tasks.find(hasDied);
  while (killed === undefined && performance.now() < deadline) {
    await sleep(1);
    killed = tasks.find(hasDied);
  }
  if (killed === undefined) return error;
  const { pid, stat: { comm } } = killed;
  return new StasisError("no-such-task", `task ${pid} (${comm}) is gone: it was killed meanwhile`, {
    pid,
    hint: "a task that stands still ends by SIGKILL alone: somebody sent it, or memory ran out",
    cause: error,
  });
}

/** Whether a task that stood still is dead; its threads are zombies until their tracer, this process, reaps them. */
function hasDied({ pid, liveTid }: Task): boolean {
  return unlessGone(() => ["Z", "X"].includes(readStat(pid, liveTid).state), true);
}

/** Whether an error, or one behind it, says that something is not there (any more). */
function saysGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const isTask = error instanceof StasisError && error.code === "no-such-task";
  const errno = error instanceof StasisError ? error.errno : errnoOf(error);
  return isTask || errno === "ESRCH" || errno === "ENOENT" || saysGone(error.cause);
}
