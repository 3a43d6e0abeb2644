/**
 * Processes by names that no other one has.
 *
 * @module
 */
import { readBootId } from "../core/linux/clocks.ts";
import { sleep } from "../core/linux/libc_ffi.ts";
import { readStat, readStatus, unlessGone } from "../core/linux/procfs/mod.ts";
import { SIG, signalBit } from "../core/linux/signals.ts";
import { isSameProcess, type ProcessName } from "./records.ts";

/** The name of a process. @throws {StasisError} `no-such-task` */
export function nameProcess(pid: number): ProcessName {
  return { pid, startTime: String(readStat(pid).startTime), boot: readBootId() };
}

/** Whether a process lives. */
export function isStillThere(process: ProcessName): boolean {
  return unlessGone(() => {
    const { state } = readStat(process.pid);
    return state !== "Z" && state !== "X" && isSameProcess(nameProcess(process.pid), process);
  }, false);
}

/** PF_EXITING (`include/linux/sched.h`). */
const EXITING = 0x4;
/** How long a process that was killed is waited for, in milliseconds. */
const DYING = 5000;

/** Whether a process is about to end: SIGKILL is on its way to it, or it ends already. */
function isDying(pid: number): boolean {
  return unlessGone(() => {
    const { sigPending, sharedPending } = readStatus(pid);
    const isKilled = ((sigPending | sharedPending) & signalBit(SIG.KILL)) !== 0n;
    return isKilled || (readStat(pid).flags & EXITING) !== 0;
  }, false);
}

/**
 * Waits as long as somebody is still there of whom some are about to end: large processes take their time for that.
 *
 * @param look finds who is there
 * @returns those who stay
 */
export async function awaitDying(look: () => readonly number[]): Promise<readonly number[]> {
  const end = performance.now() + DYING;
  for (;;) {
    const there = look();
    // Who has gone just now is not there any more.
    if (!there.some(isDying) || performance.now() > end) return look();
    await sleep(10);
  }
}
