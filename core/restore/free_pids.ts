/**
 * Pids for tasks that only help to build a tree.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { IdProbe } from "../linux/id_probe.ts";

/** RESERVED_PIDS of `kernel/pid.c`: numbers below are given to nobody after the first round. */
const LOWEST = 300;

/**
 * Hands out pids that nobody has, each once. A number that is the id of a process group or session is taken too.
 *
 * @param taken numbers that are wanted for others
 * @returns throws {StasisError} `conflict` when there are no more
 */
export function freePids(taken: ReadonlySet<number>): () => number {
  let next = LOWEST;
  return () => {
    const limit = Number(Deno.readTextFileSync("/proc/sys/kernel/pid_max"));
    using probe = new IdProbe();
    while (next < limit && (taken.has(next) || probe.isTaken(next))) next++;
    if (next < limit) return next++;
    throw new StasisError("conflict", "there is no pid left for what helps to build the tree", {
      hint: "end something, or raise kernel.pid_max",
    });
  };
}

/** The same in a namespace that nobody else is in. */
export function unusedIds(taken: ReadonlySet<number>): () => number {
  let next = LOWEST;
  return () => {
    while (taken.has(next)) next++;
    return next++;
  };
}
