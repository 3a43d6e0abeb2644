/**
 * `/proc/PID/task`: the threads of a process. Source: proc_pid_task(5); kernel fs/proc/base.c,
 * proc_task_readdir().
 *
 * @module
 */

import { readNumbers } from "../directory_numbers.ts";
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
  return readNumbers("/proc");
}
