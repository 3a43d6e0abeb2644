/**
 * Which tasks share kernel objects: memory, descriptor tables, signal handlers, working directories.
 *
 * @module
 */
import { findOrdered, kcmp } from "../linux/kcmp.ts";

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
    const { index, found } = findOrdered(ordered, (other) => kcmp(pid, other, type));
    const owner = found ? ordered[index] as number : pid;
    if (!found) ordered.splice(index, 0, pid);
    owners.set(pid, owner);
  }
  return owners;
}
