/**
 * `/proc/PID/task/TID/children`: the children that a thread made. Source: proc_tid_children(5); kernel
 * fs/proc/array.c, get_children_pid(). The file exists with CONFIG_PROC_CHILDREN alone, so there is a
 * fallback.
 *
 * @module
 */

import { StasisError } from "../../../base/errors.ts";
import { readTaskText, taskExists } from "./read.ts";
import { readStat } from "./stat.ts";
import { readProcesses, readTasks } from "./tasks.ts";

/** Parses the text of a `children` file: pids, each with a blank behind. */
export function parseChildren(text: string): readonly number[] {
  return text.split(" ").filter((word) => word.trim() !== "").map(Number);
}

/**
 * The children of a process (of all its threads), zombies included, ascending. The list is exact while
 * the process is stopped; otherwise children that are made or die meanwhile may be missing.
 *
 * @throws StasisError `no-such-task` if it is gone.
 */
export function readChildren(pid: number): readonly number[] {
  try {
    return readTasks(pid)
      .flatMap((tid) => readThreadChildren(pid, tid))
      .sort((a, b) => a - b);
  } catch (error) {
    if (!(error instanceof StasisError) || error.code !== "kernel-too-old") throw error;
    return childrenByParent().get(pid) ?? [];
  }
}

function readThreadChildren(pid: number, tid: number): readonly number[] {
  try {
    return parseChildren(readTaskText(pid, "children", tid));
  } catch (error) {
    // A thread that ended meanwhile handed its children to another one of its process.
    const ended = error instanceof StasisError && error.code === "no-such-task" && taskExists(pid);
    if (!ended) throw error;
    return [];
  }
}

/**
 * All processes by their parent, from every process's `stat`: what {@link readChildren} falls back to,
 * and the cheaper way where a whole tree is wanted. Processes that end meanwhile are left out.
 */
export function childrenByParent(): ReadonlyMap<number, readonly number[]> {
  const children = new Map<number, number[]>();
  for (const pid of readProcesses()) {
    let parent: number;
    try {
      parent = readStat(pid).ppid;
    } catch (error) {
      if (error instanceof StasisError && error.code === "no-such-task") continue;
      throw error;
    }
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  return children;
}
