/**
 * Pids for tasks that only help to build a tree.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { readProcesses, readStat, taskExists, unlessGone } from "../linux/procfs/mod.ts";

/** RESERVED_PIDS of `kernel/pid.c`: numbers below are given to nobody after the first round. */
const LOWEST = 300;

/**
 * Hands out pids that nobody has, each once. A number that is the id of a process group or session is taken too.
 *
 * @param taken numbers that are wanted for others
 * @returns throws {StasisError} `conflict` when there are no more
 */
export function freePids(taken: ReadonlySet<number>): () => number {
  let used: Set<number> | undefined;
  let next = LOWEST;
  return () => {
    used ??= new Set([...taken, ...idsInUse()]);
    const limit = Number(Deno.readTextFileSync("/proc/sys/kernel/pid_max"));
    // A thread has a directory in /proc too, though it is not listed.
    while (next < limit && (used.has(next) || taskExists(next))) next++;
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

function* idsInUse(): Generator<number> {
  for (const pid of readProcesses()) {
    const stat = unlessGone(() => readStat(pid), undefined);
    if (stat !== undefined) yield* [stat.pgrp, stat.session];
  }
}
