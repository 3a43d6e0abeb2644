/**
 * The CPU clocks that a timer may run on, as numbers: those of a certain process or thread are negative (the upper
 * bits are the complement of its id; `include/linux/posix-timers_types.h`).
 *
 * @module
 */

/** CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID (clock_gettime(2)). */
const PROCESS_CPUTIME = 2, THREAD_CPUTIME = 3;
/** CPUCLOCK_PERTHREAD_MASK and CPUCLOCK_SCHED. */
const PER_THREAD = 4, SCHED = 2;

/** Whose CPU time a clock measures. */
export interface CpuClock {
  readonly of: "process" | "thread";
  /** Its id; 0: the process or thread that made the timer. */
  readonly id: number;
}

/** What a clock measures, where that is CPU time. */
export function cpuClock(clockId: number): CpuClock | undefined {
  const clock = clockId | 0;
  if (clock === PROCESS_CPUTIME) return { of: "process", id: 0 };
  if (clock === THREAD_CPUTIME) return { of: "thread", id: 0 };
  if (clock >= 0) return undefined;
  return { of: (clock & PER_THREAD) !== 0 ? "thread" : "process", id: ~(clock >> 3) };
}

/** The clock of a certain thread's CPU time. */
export function threadClock(tid: number): number {
  return (~tid << 3) | PER_THREAD | SCHED;
}
