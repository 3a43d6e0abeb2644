/**
 * `/proc/PID/cgroup`: the control groups of a task. Source: cgroups(7); kernel
 * kernel/cgroup/cgroup.c, proc_cgroup_show().
 *
 * @module
 */

import { StasisError } from "../../../base/errors.ts";
import { malformed, readTaskText } from "./read.ts";

/** The group of a task in one hierarchy. */
export interface CgroupMembership {
  /** 0 for cgroup v2. */
  readonly hierarchy: number;
  /** The controllers of a v1 hierarchy, or `name=NAME`, with commas between them; empty for v2. */
  readonly name: string;
  /**
   * From the root of the reader's cgroup namespace; begins with `/..` for one outside of it. Of a task that has ended
   * it may be a group that was removed since, and ends in ` (deleted)` then; a name may end so as well.
   */
  readonly path: string;
}

/** Parses the text of a `cgroup` file. Names of groups are any bytes but a newline, colons among them. */
export function parseCgroup(text: string): readonly CgroupMembership[] {
  return text.split("\n").filter(Boolean).map((line) => {
    const match = /^(\d+):([^:]*):(\/[^]*)$/.exec(line);
    if (match === null) throw malformed("cgroup", line);
    const [, hierarchy, name, path] = match as unknown as [string, string, string, string];
    return { hierarchy: Number(hierarchy), name, path };
  });
}

/**
 * The text of the `cgroup` file of a task or thread; empty on a kernel without control groups.
 *
 * @throws StasisError `no-such-task`.
 */
export function readCgroupText(pid: number, tid?: number): string {
  try {
    return readTaskText(pid, "cgroup", tid);
  } catch (error) {
    if (error instanceof StasisError && error.code === "kernel-too-old") return "";
    throw error;
  }
}

/**
 * Reads the control groups of a task; none on a kernel without them.
 *
 * @throws StasisError `no-such-task`.
 */
export function readCgroup(pid: number, tid?: number): readonly CgroupMembership[] {
  return parseCgroup(readCgroupText(pid, tid));
}
