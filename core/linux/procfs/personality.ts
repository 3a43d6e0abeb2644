/**
 * `/proc/PID/personality`. Source: proc_pid_personality(5), personality(2); kernel fs/proc/base.c.
 *
 * @module
 */

import { readTaskText } from "./read.ts";

/** Parses a `personality` file: eight hexadecimal digits. */
export function parsePersonality(text: string): number {
  return Number.parseInt(text, 16);
}

/**
 * Reads the execution domain of a task, PER_* and flags as ADDR_NO_RANDOMIZE.
 *
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readPersonality(pid: number, tid?: number): number {
  return parsePersonality(readTaskText(pid, "personality", tid));
}
