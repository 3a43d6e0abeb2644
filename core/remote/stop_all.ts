/**
 * Leaving a tree stopped.
 *
 * @module
 */
import { SIG } from "../linux/signals.ts";
import { makeCall, type RawCall } from "./undo.ts";

/** The call that has a process be stopped when it is let go of. */
export function stopCall(pid: number): RawCall {
  return { name: "kill", args: [BigInt(pid), BigInt(SIG.STOP)] };
}

/**
 * Has processes that stand still under ptrace(2) be stopped when they are let go: SIGSTOP, which nobody can block, is the
 * first thing that each of them hears of then. One that is gone needs none.
 */
export function stopAll(pids: readonly number[]): void {
  for (const pid of pids) makeCall(stopCall(pid));
}
