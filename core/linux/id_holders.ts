/**
 * Who uses ids of process groups and sessions. A pid that is the id of either cannot be given to a new task, also
 * where its leader is long gone (`free_pid()` of `kernel/pid.c` waits for the last one of all).
 *
 * @module
 */
import { readProcesses, readStat, unlessGone } from "./procfs/mod.ts";

/** A task that is in a group or session. */
export interface IdHolder {
  readonly pid: number;
  /** Its name. */
  readonly comm: string;
  /** What it has the id as. */
  readonly as: "process group" | "session";
}

/**
 * Finds for each of these ids a task that is in a process group or session of that id.
 *
 * @param except tasks that do not count
 */
export function findIdHolders(
  ids: ReadonlySet<number>,
  except: ReadonlySet<number> = new Set(),
): Map<number, IdHolder> {
  const found = new Map<number, IdHolder>();
  for (const pid of readProcesses()) {
    if (except.has(pid)) continue;
    const stat = unlessGone(() => readStat(pid), undefined);
    if (stat === undefined) continue;
    const { comm, pgrp, session } = stat;
    if (ids.has(session)) found.set(session, { pid, comm, as: "session" });
    if (ids.has(pgrp)) found.set(pgrp, { pid, comm, as: "process group" });
  }
  return found;
}
