/**
 * Which tasks share kernel objects: memory, descriptor tables, signal handlers, working directories.
 *
 * @module
 */
import { kcmp } from "../linux/kcmp.ts";

/**
 * Finds for each task the first one of the list with which it shares an object.
 *
 * Tasks are kept in kcmp's order, so n tasks need about n log n calls.
 *
 * @param type one of KCMP
 * @returns the owner of each pid; a task that shares with none is its own
 */
export function findOwners(pids: readonly number[], type: number): ReadonlyMap<number, number> {
  const owners = new Map<number, number>();
  const ordered: number[] = [];
  for (const pid of pids) {
    let low = 0;
    let high = ordered.length;
    let owner = pid;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = ordered[middle] as number;
      const order = kcmp(pid, other, type);
      if (order === 0) {
        owner = other;
        break;
      }
      if (order < 0) high = middle;
      else low = middle + 1;
    }
    if (owner === pid) ordered.splice(low, 0, pid);
    owners.set(pid, owner);
  }
  return owners;
}
