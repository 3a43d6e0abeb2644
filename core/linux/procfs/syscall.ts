/**
 * `/proc/PID/syscall`: the system call in which a thread is blocked or stopped. Source:
 * proc_pid_syscall(5); kernel fs/proc/base.c, proc_pid_syscall().
 *
 * @module
 */

import { type RemoteAddress, remoteAddress } from "../address.ts";
import { malformed, readTaskText } from "./read.ts";

/** Where a thread stands that is not running. */
export interface CurrentSyscall {
  /** The call's number; -1 if it is stopped outside of a call. */
  readonly number: number;
  /** Its six arguments; none outside of a call. */
  readonly args: readonly bigint[];
  readonly stackPointer: RemoteAddress;
  readonly programCounter: RemoteAddress;
}

/** Parses a `syscall` file; undefined for a thread that runs. */
export function parseSyscall(text: string): CurrentSyscall | undefined {
  const words = text.trim().split(" ");
  if (words[0] === "running") return undefined;
  if (words.length !== 3 && words.length !== 9) throw malformed("syscall", text);
  return {
    number: Number(words[0]),
    args: words.slice(1, -2).map(BigInt),
    stackPointer: remoteAddress(BigInt(words.at(-2)!)),
    programCounter: remoteAddress(BigInt(words.at(-1)!)),
  };
}

/**
 * Reads in which call a thread is; undefined while it runs.
 *
 * @throws StasisError `no-such-task`; `no-privilege` if it may not be traced.
 */
export function readSyscall(pid: number, tid?: number): CurrentSyscall | undefined {
  return parseSyscall(readTaskText(pid, "syscall", tid));
}
