/**
 * `/proc/PID/limits`: the resource limits, readable without any privilege over the process (which
 * prlimit(2) wants). Source: proc_pid_limits(5); kernel fs/proc/base.c, proc_pid_limits().
 *
 * @module
 */

import { malformed, readTaskText } from "./read.ts";

/** A limit that is none: RLIM_INFINITY (include/uapi/linux/resource.h). */
export const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

/** The limits in the order of their numbers (include/uapi/asm-generic/resource.h), as the file says them. */
const NAMES = {
  RLIMIT_CPU: "Max cpu time",
  RLIMIT_FSIZE: "Max file size",
  RLIMIT_DATA: "Max data size",
  RLIMIT_STACK: "Max stack size",
  RLIMIT_CORE: "Max core file size",
  RLIMIT_RSS: "Max resident set",
  RLIMIT_NPROC: "Max processes",
  RLIMIT_NOFILE: "Max open files",
  RLIMIT_MEMLOCK: "Max locked memory",
  RLIMIT_AS: "Max address space",
  RLIMIT_LOCKS: "Max file locks",
  RLIMIT_SIGPENDING: "Max pending signals",
  RLIMIT_MSGQUEUE: "Max msgqueue size",
  RLIMIT_NICE: "Max nice priority",
  RLIMIT_RTPRIO: "Max realtime priority",
  RLIMIT_RTTIME: "Max realtime timeout",
} as const;

/** RLIMIT_* by name. */
export type LimitName = keyof typeof NAMES;

/** One limit. */
export interface ResourceLimit {
  readonly name: LimitName;
  /** The number that prlimit(2) takes; also the place in the list. */
  readonly resource: number;
  /** In the limit's own unit; {@link RLIM_INFINITY} for none. */
  readonly soft: bigint;
  readonly hard: bigint;
}

/** Parses the text of a `limits` file: all 16 limits in the order of their numbers. */
export function parseLimits(text: string): readonly ResourceLimit[] {
  return Object.entries(NAMES).map(([name, label], resource) => {
    const line = text.split("\n").find((line) => line.startsWith(`${label}  `));
    const match = line &&
      /^(unlimited|\d+) +(unlimited|\d+) /.exec(line.slice(label.length).trimStart());
    if (!match) throw malformed("limits", `no line ${label}`);
    return { name: name as LimitName, resource, soft: limit(match[1]!), hard: limit(match[2]!) };
  });
}

function limit(word: string): bigint {
  return word === "unlimited" ? RLIM_INFINITY : BigInt(word);
}

/**
 * Reads the limits of a process; none for one that is being reaped.
 *
 * @throws StasisError `no-such-task`.
 */
export function readLimits(pid: number): readonly ResourceLimit[] {
  const text = readTaskText(pid, "limits");
  return text === "" ? [] : parseLimits(text);
}
