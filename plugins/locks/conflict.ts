/**
 * Which locks exclude each other (`flock_locks_conflict()`, `posix_locks_conflict()` and `leases_conflict()` of
 * `fs/locks.c`). Pure.
 *
 * @module
 */
import type { FileLock } from "../../core/linux/procfs/mod.ts";
import { KIND, type LockFacts, TYPE } from "./lock.ts";

/** Those of fcntl(2) know each other, whether a process or an open file owns them. */
const RIVALS: Readonly<Record<number, readonly FileLock["type"][]>> = {
  [KIND.POSIX]: ["POSIX", "OFDLCK"],
  [KIND.OFD]: ["POSIX", "OFDLCK"],
  [KIND.FLOCK]: ["FLOCK"],
  [KIND.LEASE]: ["LEASE", "DELEG"],
};

/** Whether a lock on the same file that somebody else holds keeps a task from having this one. */
export function standsAgainst(wanted: LockFacts, held: FileLock): boolean {
  if (held.blocked || RIVALS[wanted.flag]?.includes(held.type) !== true) return false;
  if (wanted.type === TYPE.READ && held.mode === "READ") return false;
  const isBehind = wanted.len > 0n && held.start >= wanted.start + wanted.len;
  const isBefore = held.end !== undefined && held.end < wanted.start;
  return !isBehind && !isBefore;
}
