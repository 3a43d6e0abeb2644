/**
 * The files of `/proc/PID` with one number each that restore writes back. Source: proc_pid_oom_score_adj(5),
 * proc_pid_loginuid(5), proc_pid_timerslack_ns(5), proc_pid_coredump_filter(5), proc_pid_autogroup(5); kernel
 * fs/proc/base.c, kernel/sched/autogroup.c.
 *
 * @module
 */

import { StasisError } from "../../../base/errors.ts";
import { readTaskText } from "./read.ts";

/** Nobody has logged in: the value of a loginuid that was never set. */
export const NO_LOGINUID = 0xffffffff;

/** `oom_score_adj`: -1000 (never killed) to 1000. @throws StasisError `no-such-task` */
export function readOomScoreAdj(pid: number): number {
  return Number(readTaskText(pid, "oom_score_adj"));
}

/**
 * `loginuid`, or {@link NO_LOGINUID}; undefined on a kernel without CONFIG_AUDIT.
 *
 * @throws StasisError `no-such-task`
 */
export function readLoginuid(pid: number): number | undefined {
  const text = ifSupported(() => readTaskText(pid, "loginuid"));
  return text === undefined ? undefined : Number(text);
}

/**
 * `timerslack_ns` of one thread, in nanoseconds; 0 for a real-time thread. The file is in the directory of
 * a process only, but that of any thread can be reached through its tid.
 *
 * @throws StasisError `no-such-task`; `no-privilege` without CAP_SYS_NICE for another's thread.
 */
export function readTimerSlack(tid: number): bigint {
  return BigInt(readTaskText(tid, "timerslack_ns").trim());
}

/**
 * `coredump_filter`: which mappings a core file gets, MMF_DUMP_* bits; undefined for a task without memory
 * and on a kernel without core files.
 *
 * @throws StasisError `no-such-task`
 */
export function readCoredumpFilter(pid: number): number | undefined {
  const text = ifSupported(() => readTaskText(pid, "coredump_filter"));
  return text === undefined || text === "" ? undefined : Number.parseInt(text, 16);
}

/**
 * The nice value of a task's session among all sessions, -20 to 19 (`autogroup`); 0 on a kernel without
 * CONFIG_SCHED_AUTOGROUP, and where the task is in no such group.
 *
 * @throws StasisError `no-such-task`
 */
export function readAutogroupNice(pid: number): number {
  const text = ifSupported(() => readTaskText(pid, "autogroup")) ?? "";
  return Number(/ nice (-?\d+)$/.exec(text.trimEnd())?.[1] ?? 0);
}

/**
 * The groups for the use of caches and memory bandwidth that a task is in (`cpu_resctrl_groups`), each as the file
 * says it: `res:/`, `mon:NAME`; none on a kernel without CONFIG_PROC_CPU_RESCTRL.
 *
 * @throws StasisError `no-such-task`
 */
export function readResourceGroups(pid: number): string[] {
  const text = ifSupported(() => readTaskText(pid, "cpu_resctrl_groups")) ?? "";
  return text.split("\n").filter(Boolean);
}

function ifSupported(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof StasisError && error.code === "kernel-too-old") return undefined;
    throw error;
  }
}
