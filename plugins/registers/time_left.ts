/**
 * How much is left of the timeout of an interrupted call, found out at the freeze.
 *
 * A sleep with a `rem` pointer has been told by the kernel. Of the others the kernel keeps the end to itself, but
 * it lists all timers that run (`/proc/timer_list`), without saying whose they are. So the thread is let go back into
 * its call for a moment: its timer is the one that comes then, and is not there any more afterwards. Where that
 * leaves no answer the timeout begins anew: the wait is longer than it should be, never shorter.
 *
 * @module
 */
import { remoteAddress } from "../../core/linux/address.ts";
import { CLOCK } from "../../core/linux/clock_numbers.ts";
import { clockNow } from "../../core/linux/clocks.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { readClockOffsets, readSleepers } from "../../core/linux/procfs/mod.ts";
import { StasisError } from "../../base/errors.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { Reentry } from "../../core/remote/wchan.ts";
import { originalCall } from "./restart.ts";
import { fromTimespec, type Wait, wholeTimeout } from "./waits.ts";

/**
 * How many threads of a tree are let go back at most: each costs a look at all timers of the machine, and those have the
 * kernel go through them more often the more there are (`print_active_timers()` of `kernel/time/timer_list.c`). Where
 * more of them wait, most begin anew anyway.
 */
const MOST_LOOKS = 32, LOOKS_AT_MANY = 8;

/** How many threads are let go back of so many that wait. */
export function looksFor(waiting: number): number {
  return waiting > MOST_LOOKS ? LOOKS_AT_MANY : waiting;
}
/** How often the timer of a thread is looked for: others may start and end at the same moments. */
const TRIES = 3;

/** What the kernel has written: nanoseconds; undefined where it has not, or cannot be read. */
export function toldTimeLeft(pid: number, { remaining }: Wait): bigint | undefined {
  return remaining === undefined ? undefined : readTimespec(pid, remaining);
}

/** A thread and the wait that it was interrupted in. */
export interface Waiting {
  readonly tracee: Tracee;
  readonly wait: Wait;
}

interface Candidate {
  readonly tracee: Tracee;
  /** The whole timeout, in nanoseconds. */
  readonly whole: bigint;
  /** The ends of timers that may be its own; undefined before the first look. */
  possible?: ReadonlySet<bigint>;
}

/**
 * What the threads' timers say: nanoseconds by tid, of those of which that can be told. They are let go back into their
 * calls one after the other, with a look at the timers after each, and then all are stopped. Only for threads in
 * which nothing has been injected yet.
 */
export function timesLeftByTimer(threads: readonly Waiting[]): Map<number, bigint> {
  const left = new Map<number, bigint>();
  let candidates = threads.flatMap(({ tracee, wait }): Candidate[] => {
    // What is stopped by job control is not to run.
    if (tracee.groupStop !== 0) return [];
    const whole = wholeTimeout(wait, (address) => readTimespec(tracee.pid, address));
    return whole === undefined ? [] : [{ tracee, whole }];
  });
  for (let tries = 0; tries < TRIES && candidates.length > 0; tries++) {
    const started = lookAtTimers(candidates);
    const after = readSleepers();
    if (started === undefined || after === undefined) return left;
    // The timers are told by the machine's clock.
    const now = clockNow(CLOCK.MONOTONIC) - readClockOffsets(Deno.pid).monotonic;
    for (const candidate of candidates) {
      const { tracee: { tid }, whole } = candidate;
      // A machine that is busy may not have let the thread get there.
      const found = started.get(tid)?.difference(after);
      if (found === undefined) continue;
      const ends = new Set([...found].filter((end) => end > now && end <= now + whole));
      const possible = candidate.possible?.intersection(ends) ?? ends;
      candidate.possible = possible.size === 0 ? undefined : possible;
      if (possible.size === 1) left.set(tid, [...possible][0] as bigint - now);
    }
    candidates = candidates.filter(({ tracee: { tid } }) => !left.has(tid));
  }
  return left;
}

/** @returns the ends of the timers that have come with each thread, by tid; undefined where they may not be seen */
function lookAtTimers(
  candidates: readonly Candidate[],
): Map<number, ReadonlySet<bigint>> | undefined {
  const started = new Map<number, ReadonlySet<bigint>>();
  let before = readSleepers();
  if (before === undefined) return undefined;
  using entered = new DisposableStack();
  for (const { tracee } of candidates) {
    const { registers } = tracee;
    const during = entered.use(new Reentry(tracee)).enter((place) =>
      originalCall(place, registers) === undefined ? undefined : readSleepers()
    );
    if (during === undefined) continue;
    started.set(tracee.tid, during.difference(before));
    before = during;
  }
  return started;
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
