/**
 * Whether a restore has room for its threads in groups that bound the number of tasks. Pure.
 *
 * Who enters a group may do so above its limit, who is born in it may not (`pids_can_fork()` of
 * `kernel/cgroup/pids.c`). Threads are born where the first one of their process is.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import { describeGroup, isWithin, ROOT_GROUP } from "../../core/linux/cgroup/group_path.ts";

/** The threads of a process in one hierarchy. */
export interface PlacedProcess {
  readonly pid: number;
  /** The group of each, the first one first. */
  readonly threads: readonly string[];
}

/** What a group allows. */
export interface PidsLimit {
  /** `pids.max`; undefined where there is no limit. */
  readonly limit: number | undefined;
  /** `pids.current`. */
  readonly current: number;
}

/**
 * Reports groups that are too small.
 *
 * @param hierarchy the one with the controller `pids`
 * @param limitOf what a group allows; undefined where it has no such controller
 * @param areIn whether the processes are in their groups already, and are counted there
 */
export function* pidsProblems(
  hierarchy: string,
  processes: readonly PlacedProcess[],
  limitOf: (path: string) => PidsLimit | undefined,
  areIn: boolean,
): Generator<Omit<Problem, "plugin">> {
  const bearing = processes.filter(({ threads }) => threads.length > 1);
  for (
    const group of new Set(bearing.flatMap(({ threads: [first] }) => upwards(first as string)))
  ) {
    const found = limitOf(group);
    if (found?.limit === undefined) continue;
    const born = processes.filter(({ threads: [first] }) => isWithin(group, first as string))
      .reduce((sum, { threads }) => sum + threads.length, 0);
    const counted = processes.flatMap(({ threads }) => threads)
      .filter((path) => areIn && isWithin(group, path)).length;
    const total = found.current - counted + born;
    if (total <= found.limit) continue;
    yield {
      what: `the control group ${
        describeGroup(hierarchy, group)
      } may have ${found.limit} tasks, and would have ${total} while the tree is built`,
      hint: "raise its pids.max",
    };
  }
}

/** A group and those that it is in, without the root. */
function upwards(path: string): string[] {
  const all: string[] = [];
  for (let at = path; at !== ROOT_GROUP && at !== ""; at = at.slice(0, at.lastIndexOf("/"))) {
    all.push(at);
  }
  return all;
}
