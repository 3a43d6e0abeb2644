/**
 * How much is left of the timeout of an interrupted call, found out at the freeze.
 *
 * A sleep with a `rem` pointer has been told by the kernel. Of the others the kernel keeps the end to itself, but
 * it lists all timers that run (`/proc/timer_list`), without saying whose they are. So the thread is let go back into
 * its call for a moment: its timer is the one that is there then, and neither before nor afterwards. Where that
 * leaves no answer the timeout begins anew: the wait is longer than it should be, never shorter.
 *
 * @module
 */
import { remoteAddress } from "../../core/linux/address.ts";
import { CLOCK, clockNow } from "../../core/linux/clocks.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { readSleepers } from "../../core/linux/procfs/mod.ts";
import { StasisError } from "../../base/errors.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { blockedIn } from "../../core/remote/wchan.ts";
import { originalCall } from "./restart.ts";
import { fromTimespec, type Wait, wholeTimeout } from "./waits.ts";

/** How many threads of a tree are let go back: each costs some looks at all timers of the machine. */
export const LOOKS = 32;
/** How often the timer of a thread is looked for: others may start and end at the same moments. */
const TRIES = 3;

/** How long a look at the timers counts as one of just now, in milliseconds. */
const FRESH = 1;

/** Looks at all timers of the machine. The one after a thread was let back is the one before the next thread is. */
export class TimerLooks {
  #last: { readonly at: number; readonly timers: ReturnType<typeof readSleepers> } | undefined;

  /** The timers now. */
  now(): ReturnType<typeof readSleepers> {
    const timers = readSleepers();
    this.#last = { at: performance.now(), timers };
    return timers;
  }

  /** Those of a moment ago. */
  recent(): ReturnType<typeof readSleepers> {
    const last = this.#last;
    return last !== undefined && performance.now() - last.at < FRESH ? last.timers : this.now();
  }
}

/** What the kernel has written: nanoseconds; undefined where it has not, or cannot be read. */
export function toldTimeLeft(pid: number, { remaining }: Wait): bigint | undefined {
  return remaining === undefined ? undefined : readTimespec(pid, remaining);
}

/**
 * What the thread's timer says: nanoseconds; undefined where that cannot be told. Only for a thread in which nothing
 * has been injected yet.
 */
export function timeLeftByTimer(
  tracee: Tracee,
  wait: Wait,
  looks: TimerLooks,
): bigint | undefined {
  // What is stopped by job control is not to run.
  if (tracee.groupStop !== 0) return undefined;
  const whole = wholeTimeout(wait, (address) => readTimespec(tracee.pid, address));
  if (whole === undefined) return undefined;
  let candidates: Set<bigint> | undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    const before = looks.recent();
    if (before === undefined) return undefined;
    const { registers } = tracee;
    const during = blockedIn(
      tracee,
      (place) => originalCall(place, registers) === undefined ? undefined : readSleepers(),
    );
    const after = looks.now();
    // A machine that is busy may not have let the thread get there.
    if (during === undefined || after === undefined) continue;
    const now = clockNow(CLOCK.MONOTONIC);
    const found = during.difference(before).difference(after);
    const possible = new Set([...found].filter((end) => end > now && end <= now + whole));
    candidates = candidates === undefined ? possible : candidates.intersection(possible);
    if (candidates.size === 0) candidates = undefined;
    else if (candidates.size === 1) return [...candidates][0] as bigint - now;
  }
  return undefined;
}

function readTimespec(pid: number, address: bigint): bigint | undefined {
  try {
    using memory = new ProcessMemory(pid);
    return fromTimespec(memory.read(remoteAddress(address), 16));
  } catch (error) {
    if (error instanceof StasisError) return undefined;
    throw error;
  }
}
