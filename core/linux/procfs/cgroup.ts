/**
 * `/proc/PID/cgroup`: the control groups of a task. Source: cgroups(7); kernel
 * kernel/cgroup/cgroup.c, proc_cgroup_show().
 *
 * @module
 */

import { malformed, readTaskText } from "./read.ts";

/** The group of a task in one hierarchy. */
export interface CgroupMembership {
  /** 0 for cgroup v2. */
  readonly hierarchy: number;
  /** The controllers of a v1 hierarchy, or `name=NAME`; none for v2. */
  readonly controllers: readonly string[];
  /** From the root of the reader's cgroup namespace; begins with `/..` for one outside of it. */
  readonly path: string;
  /** The group was removed while the task (a zombie) is in it. */
  readonly deleted: boolean;
}

const DELETED = " (deleted)";

/** Parses the text of a `cgroup` file; a path may contain colons. */
export function parseCgroup(text: string): readonly CgroupMembership[] {
  return text.split("\n").filter(Boolean).map((line) => {
    const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
    if (match === null) throw malformed("cgroup", line);
    const path = match[3]!;
    const deleted = path.endsWith(DELETED);
    return {
      hierarchy: Number(match[1]),
      controllers: match[2]!.split(",").filter(Boolean),
      path: deleted ? path.slice(0, -DELETED.length) : path,
      deleted,
    };
  });
}

/**
 * Reads the control groups of a task; none on a kernel without them.
 *
 * @throws StasisError `no-such-task`.
 */
export function readCgroup(pid: number, tid?: number): readonly CgroupMembership[] {
  return parseCgroup(readTaskText(pid, "cgroup", tid));
}
