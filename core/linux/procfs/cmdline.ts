/**
 * `/proc/PID/cmdline` and `/proc/PID/environ`: strings at the bottom of the stack, where the program may
 * have changed them. Source: proc_pid_cmdline(5), proc_pid_environ(5); kernel fs/proc/base.c.
 *
 * @module
 */

import { readTaskText } from "./read.ts";

/** Takes strings that end in a NUL each apart; the last one may lack it. */
export function parseStrings(text: string): readonly string[] {
  if (text === "") return [];
  return (text.endsWith("\0") ? text.slice(0, -1) : text).split("\0");
}

/**
 * The arguments of a process; none for a zombie or a kernel thread. A program that set its own title has
 * it as a single argument, with NULs behind that come as empty ones.
 *
 * @throws StasisError `no-such-task`.
 */
export function readCmdline(pid: number): readonly string[] {
  return parseStrings(readTaskText(pid, "cmdline"));
}

/**
 * The environment with which a process was started, as `NAME=value`; none for a zombie or a kernel
 * thread. What setenv(3) did later is not here.
 *
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readEnviron(pid: number): readonly string[] {
  return parseStrings(readTaskText(pid, "environ"));
}
