/**
 * `/proc/PID/timers`: the POSIX timers of a process. Source: proc_pid_timers(5); kernel fs/proc/base.c,
 * show_timer(). Their times are not in it: timer_gettime(2) within the process tells those.
 *
 * @module
 */

import { malformed, readTaskText } from "./read.ts";

/** One timer of timer_create(2). */
export interface PosixTimer {
  readonly id: number;
  /** The signal of its sigevent (also where nobody is told). */
  readonly signal: number;
  /** `sigev_value`, as a pointer. */
  readonly sigval: bigint;
  /** SIGEV_SIGNAL, SIGEV_NONE or SIGEV_THREAD (which libc does not use). */
  readonly notify: "signal" | "none" | "thread";
  /** The thread that gets the signal (SIGEV_THREAD_ID); undefined: the whole process. */
  readonly tid?: number;
  /** CLOCK_*, or a negative number for the CPU clock of a process or thread. */
  readonly clockId: number;
}

const TIMER =
  /^ID: (\d+)\nsignal: (\d+)\/([0-9a-f]+)\nnotify: (\w+)\/(tid|pid)\.(-?\d+)\nClockID: (-?\d+)$/;

/** Parses the text of a `timers` file. Ascending ids (the kernel's order depends on its version). */
export function parseTimers(text: string): readonly PosixTimer[] {
  const blocks = text.split(/\n(?=ID: )/).map((block) => block.trim()).filter(Boolean);
  return blocks.map(parseTimer).sort((a, b) => a.id - b.id);
}

function parseTimer(block: string): PosixTimer {
  const match = TIMER.exec(block);
  if (match === null) throw malformed("timers", block);
  const [, id, signal, sigval, notify, target, targetId, clockId] = match;
  return {
    id: Number(id),
    signal: Number(signal),
    sigval: BigInt(`0x${sigval}`),
    notify: notify as PosixTimer["notify"],
    tid: target === "tid" ? Number(targetId) : undefined,
    clockId: Number(clockId),
  };
}

/**
 * Reads the timers of a process.
 *
 * @throws StasisError `no-such-task`; `kernel-too-old` without CONFIG_CHECKPOINT_RESTORE.
 */
export function readTimers(pid: number): readonly PosixTimer[] {
  return parseTimers(readTaskText(pid, "timers"));
}
