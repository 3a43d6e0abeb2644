/**
 * Which tasks share kernel objects: memory, descriptor tables, signal handlers, working directories.
 *
 * @module
 */
import { findOrdered, kcmp } from "../linux/kcmp.ts";
import type { Task } from "./task.ts";

/**
 * Finds for each task the first one of the list with which it shares an object.
 *
 * Tasks are kept in kcmp's order, so n tasks need about n log n calls.
 *
 * @param type one of KCMP
 * @returns the owner of each pid; a task that shares with none is its own
 */
export function findOwners(
  tasks: readonly Pick<Task, "pid" | "liveTid">[],
  type: number,
): ReadonlyMap<number, number> {
  const owners = new Map<number, number>();
  const ordered: (typeof tasks)[number][] = [];
  for (const task of tasks) {
    const { index, found } = findOrdered(
      ordered,
      ({ liveTid }) => kcmp(task.liveTid, liveTid, type),
    );
    const owner = found ? ordered[index] as typeof task : task;
    if (!found) ordered.splice(index, 0, task);
    owners.set(task.pid, owner.pid);
  }
  return owners;
}
