/**
 * Checks of `pstree.img` before anything is planned: it may be damaged, or hostile. Pure.
 *
 * @module
 */
import type { pstree_entry } from "./gen/tree_pb.ts";
import { StasisError } from "../base/errors.ts";

/** No id of a process, thread, group or session reaches this (PID_MAX_LIMIT of include/linux/threads.h, 64 bits). */
export const PID_LIMIT = 1 << 22;

/**
 * Checks that the ids of a tree are such that the kernel gives, each once, and that parents stand before their
 * children.
 *
 * @param tasks the entries
 * @param isDead whether a task is a zombie: it has no threads, whatever its entry says (CRIU 3.17 lists what it finds
 * in memory), and no children
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image`
 */
export function validateTree(
  tasks: readonly pstree_entry[],
  isDead: (pid: number) => boolean,
  file: string,
): void {
  const bad = (what: string): StasisError => new StasisError("bad-image", `${file} ${what}`);
  const [root] = tasks;
  if (root === undefined) throw bad("has no task");
  if (root.ppid !== 0) throw bad(`has a root with a parent, task ${root.ppid}`);
  const pids = new Set<number>();
  const tids = new Set<number>();
  const take = (tid: number, what: string): void => {
    if (tid === 0 || tid >= PID_LIMIT) throw bad(`has a ${what} with the impossible id ${tid}`);
    if (tids.has(tid)) throw bad(`has the id ${tid} of a ${what} twice`);
    tids.add(tid);
  };
  for (const { pid, ppid, pgid, sid } of tasks) {
    take(pid, "task");
    // A group or session that was led from outside of a pid namespace has no id inside: 0.
    for (const [what, id] of [["group", pgid], ["session", sid]] as const) {
      if (id >= PID_LIMIT) throw bad(`has task ${pid} in a ${what} with the impossible id ${id}`);
    }
    if (pid !== root.pid) {
      if (!pids.has(ppid)) throw bad(`has task ${pid} before its parent ${ppid}`);
      if (isDead(ppid)) throw bad(`has task ${pid} below a zombie, task ${ppid}`);
    }
    pids.add(pid);
  }
  for (const { pid, threads } of tasks) {
    if (isDead(pid)) continue;
    let leader = false;
    for (const tid of threads) {
      // The leader's own tid is among the threads, or nowhere.
      if (tid === pid && !leader) leader = true;
      else take(tid, "thread");
    }
  }
}
