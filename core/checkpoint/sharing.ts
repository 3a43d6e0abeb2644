/**
 * Which tasks share kernel objects: memory, descriptor tables, signal handlers, working directories.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
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

/**
 * Finds who of others has the same object as one of these tasks: n of them among m take about n log m calls.
 *
 * @param others pids; those that end meanwhile, or may not be looked at, have nothing
 * @returns by the pid of the other that of the task
 */
export function findSharers(
  tasks: readonly Pick<Task, "pid" | "liveTid">[],
  type: number,
  others: Iterable<number>,
): Map<number, number> {
  const ordered = [...tasks].sort((a, b) => kcmp(a.liveTid, b.liveTid, type));
  const sharers = new Map<number, number>();
  for (const pid of others) {
    try {
      const { index, found } = findOrdered(ordered, ({ liveTid }) => kcmp(pid, liveTid, type));
      if (found) sharers.set(pid, (ordered[index] as typeof tasks[number]).pid);
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
    }
  }
  return sharers;
}
