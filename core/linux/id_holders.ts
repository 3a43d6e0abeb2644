/**
 * Who uses ids of process groups and sessions. A pid that is the id of either cannot be given to a new task, also
 * where its leader is long gone (`free_pid()` of `kernel/pid.c` waits for the last one of all).
 *
 * @module
 */
import { syscall } from "./libc_ffi.ts";
import { readProcesses, readStat, unlessGone } from "./procfs/mod.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

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
    if (except.has(pid) || !mayHold(pid, ids)) continue;
    const stat = unlessGone(() => readStat(pid), undefined);
    if (stat === undefined) continue;
    const { comm, pgrp, session } = stat;
    if (ids.has(session)) found.set(session, { pid, comm, as: "session" });
    if (ids.has(pgrp)) found.set(pgrp, { pid, comm, as: "process group" });
  }
  return found;
}

/** Asks the kernel by two calls, of which a security module may forbid either: /proc/PID/stat takes ten times as long. */
function mayHold(pid: number, ids: ReadonlySet<number>): boolean {
  const known = [syscall(SYSCALLS.getpgid, pid), syscall(SYSCALLS.getsid, pid)];
  return known.some((id) => id < 0n || ids.has(Number(id)));
}
