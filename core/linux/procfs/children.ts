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

/** From how many threads on the processes of the machine are looked at instead, where those are fewer. */
const MANY_THREADS = 400;
/** How often that is tried. */
const TRIES = 3;

/**
 * The children of a process (of all its threads), zombies included, ascending. The list is exact while
 * the process is stopped; otherwise children that are made or die meanwhile may be missing.
 *
 * @param threads all threads of it by their tids, where they are known
 * @throws StasisError `no-such-task` if it is gone.
 */
export function readChildren(
  pid: number,
  threads?: ReadonlyMap<number, unknown>,
): readonly number[] {
  try {
    const tasks = threads === undefined ? readTasks(pid) : [...threads.keys()];
    if (tasks.length > MANY_THREADS) {
      // On a busy machine one ends at any moment, and to ask all threads takes longer than to look again.
      for (let tries = 0; tries < TRIES; tries++) {
        const processes = readProcesses();
        if (processes.length >= tasks.length) break;
        const found = childrenAmong(processes);
        if (found !== undefined) return found.get(pid) ?? [];
      }
    }
    return tasks
      .flatMap((tid) => readThreadChildren(pid, tid))
      .sort((a, b) => a - b);
  } catch (error) {
    if (!(error instanceof StasisError) || error.code !== "kernel-too-old") throw error;
    return childrenByParent().get(pid) ?? [];
  }
}

/** The children of one thread, which those are that it has made. None where the kernel does not tell. */
export function readChildrenOfThread(pid: number, tid: number): readonly number[] {
  try {
    return readThreadChildren(pid, tid);
  } catch (error) {
    if (error instanceof StasisError && error.code === "kernel-too-old") return [];
    throw error;
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
  return sortByParent(
    readProcesses().flatMap((pid) => {
      const ppid = parentOf(pid);
      return ppid === undefined ? [] : [{ pid, ppid }];
    }),
  );
}

/**
 * The same, of these processes; undefined where one of them has ended meanwhile: a child of it that was looked at
 * before has another parent by now.
 */
function childrenAmong(
  processes: readonly number[],
): ReadonlyMap<number, readonly number[]> | undefined {
  const found: { pid: number; ppid: number }[] = [];
  for (const pid of processes) {
    const ppid = parentOf(pid);
    if (ppid === undefined) return undefined;
    found.push({ pid, ppid });
  }
  return sortByParent(found);
}

function parentOf(pid: number): number | undefined {
  try {
    return readStat(pid).ppid;
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task") return undefined;
    throw error;
  }
}

function sortByParent(
  processes: readonly { readonly pid: number; readonly ppid: number }[],
): ReadonlyMap<number, readonly number[]> {
  const children = new Map<number, number[]>();
  for (const { pid, ppid } of processes) {
    const siblings = children.get(ppid);
    if (siblings === undefined) children.set(ppid, [pid]);
    else siblings.push(pid);
  }
  return children;
}
