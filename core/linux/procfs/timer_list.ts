/**
 * `/proc/timer_list`: the high-resolution timers of all CPUs. Source: kernel `kernel/time/timer_list.c`. Only root of
 * the first user namespace may read it.
 *
 * @module
 */

/** The number of the clock base that counts as CLOCK_MONOTONIC does (`enum hrtimer_base_type`). */
const MONOTONIC_BASE = "0";

/**
 * When the sleepers of CLOCK_MONOTONIC are to be woken, in nanoseconds of it: threads in calls with a timeout. Whose
 * timer is whose is not told.
 */
export function parseSleepers(text: string): Set<bigint> {
  const found = new Set<bigint>();
  let base = "";
  let wakes = false;
  for (const line of text.split("\n")) {
    const index = /^ {2}\.index: +(\d+)/.exec(line);
    if (index !== null) base = index[1] as string;
    else if (line.startsWith(" #") && line[2] !== " ") wakes = line.includes(" hrtimer_wakeup,");
    else if (wakes && base === MONOTONIC_BASE) {
      const expires = /^ # expires at (\d+)-/.exec(line);
      if (expires !== null) found.add(BigInt(expires[1] as string));
    }
  }
  return found;
}

/** The same of this machine now; undefined where it may not be seen. */
export function readSleepers(): Set<bigint> | undefined {
  try {
    return parseSleepers(Deno.readTextFileSync("/proc/timer_list"));
  } catch {
    return undefined;
  }
}
