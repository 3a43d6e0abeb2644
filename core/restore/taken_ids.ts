/**
 * Ids that a restored tree needs and that somebody has.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { findIdHolders } from "../linux/id_holders.ts";
import { readStat } from "../linux/procfs/mod.ts";

/** Does something that makes tasks; of an id that is taken it says by whom. */
export function sayWhoHasIds(make: () => unknown): void {
  try {
    make();
  } catch (error) {
    const taken = error instanceof StasisError && error.errno === "EEXIST"
      ? /set_tid=(\d+)/.exec(error.message)?.[1]
      : undefined;
    if (taken === undefined) throw error;
    throw pidTaken(Number(taken));
  }
}

/** The error for a pid or tid that a restored task needs and that somebody has. */
export function pidTaken(pid: number): StasisError {
  let holder = "a task that has just gone";
  try {
    const { comm, state, ppid } = readStat(pid);
    holder = state === "Z"
      ? `a zombie (${comm}) that its parent ${ppid} has not reaped`
      : `another task (${comm})`;
  } catch {
    // It has gone, but others may still be in the group or session that it led.
    const member = findIdHolders(new Set([pid])).get(pid);
    if (member !== undefined) holder = `the ${member.as} of task ${member.pid} (${member.comm})`;
  }
  return new StasisError("conflict", `pid ${pid} is taken by ${holder}`, {
    pid,
    errno: "EEXIST",
    hint: "end it, or restore in a new pid namespace (unshare --pid --fork --mount-proc)",
  });
}
