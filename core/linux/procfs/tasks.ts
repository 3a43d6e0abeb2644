/**
 * `/proc/PID/task`: the threads of a process. Source: proc_pid_task(5); kernel fs/proc/base.c,
 * proc_task_readdir().
 *
 * @module
 */

import { readTaskNumbers } from "./read.ts";

/**
 * The tids of a process, ascending. Threads of a running process come and go meanwhile: only that of a
 * stopped one is exact.
 *
 * @throws StasisError `no-such-task` if it is gone.
 */
export function readTasks(pid: number): readonly number[] {
  return readTaskNumbers(pid, "task");
}

/** All processes of this pid namespace, ascending. */
export function readProcesses(): readonly number[] {
  const pids: number[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (/^[0-9]+$/.test(entry.name)) pids.push(Number(entry.name));
  }
  return pids.sort((a, b) => a - b);
}
