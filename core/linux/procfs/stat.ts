/**
 * `/proc/PID/stat` and `/proc/PID/task/TID/stat`: of their 52 fields those that somebody asks for, as a tree of thousands
 * is kept while it stands still.
 * Source: proc_pid_stat(5); kernel fs/proc/array.c, do_task_stat().
 *
 * @module
 */

import { type RemoteAddress, remoteAddress } from "../address.ts";
import { malformed, readTaskText } from "./read.ts";
import { sameText } from "./same_text.ts";
import type { TaskState } from "./status.ts";

/** A task as `stat` describes it, in the order of the file. Times are in clock ticks of 1/100 s. */
export interface TaskStat {
  readonly pid: number;
  /** The name as it is, up to 15 bytes (kernel workers: 63), any characters. */
  readonly comm: string;
  readonly state: TaskState;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  /** The controlling terminal: minor in bits 31-20 and 7-0, major in 15-8; 0 for none. */
  readonly ttyNr: number;
  /** Its foreground process group; -1 for none. */
  readonly tpgid: number;
  /** PF_* flags (include/linux/sched.h): see {@link PF_KTHREAD}. */
  readonly flags: number;
  readonly minorFaults: bigint;
  readonly majorFaults: bigint;
  readonly userTime: bigint;
  readonly systemTime: bigint;
  readonly threads: number;
  /** When the task started, in clock ticks after boot: with the pid it names a task for good. */
  readonly startTime: bigint;
  /** The address space in bytes. */
  readonly vsize: bigint;
  /** Resident pages. */
  readonly rss: bigint;
  /** Addresses are 0 (the code's: 1) where the reader may not trace the task. */
  readonly startCode: RemoteAddress;
  readonly endCode: RemoteAddress;
  readonly startStack: RemoteAddress;
  /** The signal that the parent gets; -1 for a thread that is no leader. */
  readonly exitSignal: number;
  readonly startData: RemoteAddress;
  readonly endData: RemoteAddress;
  readonly startBrk: RemoteAddress;
  readonly argStart: RemoteAddress;
  readonly argEnd: RemoteAddress;
  readonly envStart: RemoteAddress;
  readonly envEnd: RemoteAddress;
  /** As waitpid gives it; 0 where the reader may not trace the task. */
  readonly exitCode: number;
}

/** In {@link TaskStat.flags}: a kernel thread (include/linux/sched.h). */
export const PF_KTHREAD = 0x00200000;

/**
 * Parses the text of a `stat` file. The name stands between the first `(` and the *last* `)`: it may
 * contain blanks, parentheses and newlines, all other fields are numbers or one letter.
 */
export function parseStat(text: string): TaskStat {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) throw malformed("stat", "no name in parentheses");
  const fields = text.slice(close + 2).trimEnd().split(" ");
  if (fields.length < 50) throw malformed("stat", `${fields.length + 2} fields instead of 52`);

  // proc(5) counts from 1, and the state is its field 3.
  const field = (n: number): string => fields[n - 3]!;
  const number = (n: number): number => Number(field(n));
  const big = (n: number): bigint => BigInt(field(n));
  const address = (n: number): RemoteAddress => remoteAddress(big(n));
  return {
    pid: Number(text.slice(0, open)),
    comm: sameText(text.slice(open + 1, close)),
    state: field(3) as TaskState,
    ppid: number(4),
    pgrp: number(5),
    session: number(6),
    ttyNr: number(7),
    tpgid: number(8),
    flags: number(9),
    minorFaults: big(10),
    majorFaults: big(12),
    userTime: big(14),
    systemTime: big(15),
    threads: number(20),
    startTime: big(22),
    vsize: big(23),
    rss: big(24),
    startCode: address(26),
    endCode: address(27),
    startStack: address(28),
    exitSignal: number(38),
    startData: address(45),
    endData: address(46),
    startBrk: address(47),
    argStart: address(48),
    argEnd: address(49),
    envStart: address(50),
    envEnd: address(51),
    exitCode: number(52),
  };
}

/**
 * Reads the `stat` of a process (times and faults of all its threads), or of one thread.
 *
 * @throws StasisError `no-such-task` if it is gone.
 */
export function readStat(pid: number, tid?: number): TaskStat {
  return parseStat(readTaskText(pid, "stat", tid));
}
