/**
 * `/proc/PID/comm` and `/proc/PID/task/TID/comm`: a thread's name. Source: proc_pid_comm(5); kernel
 * fs/proc/base.c, comm_show().
 *
 * @module
 */

import { readTaskText, unlessGone } from "./read.ts";

/** Parses a `comm` file. The name is not escaped: only the one newline at the end is not its own. */
export function parseComm(text: string): string {
  return text.endsWith("\n") ? text.slice(0, -1) : text;
}

/**
 * Reads the name of a process's main thread, or of one of its threads.
 *
 * @throws StasisError `no-such-task`.
 */
export function readComm(pid: number, tid?: number): string {
  return parseComm(readTaskText(pid, "comm", tid));
}

/** A process by its id and its name, if that can still be known, for messages: `task 12 (bash)`. */
export function nameOf(pid: number): string {
  const name = unlessGone(() => readComm(pid), "");
  return name === "" ? `task ${pid}` : `task ${pid} (${name})`;
}
