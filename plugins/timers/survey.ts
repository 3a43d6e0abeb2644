/**
 * Timers that no restore could make again.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import type { PosixTimer } from "../../core/linux/procfs/mod.ts";
import { cpuClock } from "./clock.ts";

/** A process with its threads and timers. */
export interface TimedTask {
  readonly pid: number;
  readonly threads: readonly number[];
  readonly timers: readonly PosixTimer[];
}

/** What cannot be saved of the timers of a tree. Pure. */
export function timerProblems(tasks: readonly TimedTask[]): Omit<Problem, "plugin">[] {
  const pids = new Set(tasks.map(({ pid }) => pid));
  const ids = new Set([...pids, ...tasks.flatMap(({ threads }) => threads)]);
  return tasks.flatMap(({ pid, threads, timers }) =>
    timers.flatMap((timer) => {
      const problem = problemOf(timer, { pid, threads, pids, ids });
      return problem === undefined ? [] : [{ pid, ...problem }];
    })
  );
}

interface Surroundings {
  readonly pid: number;
  readonly threads: readonly number[];
  readonly pids: ReadonlySet<number>;
  /** Of all processes and threads. */
  readonly ids: ReadonlySet<number>;
}

function problemOf(
  { id, tid, clockId }: PosixTimer,
  { pid, threads, pids, ids }: Surroundings,
): Pick<Problem, "what" | "hint"> | undefined {
  const hint = "have the program delete it (timer_delete)";
  const clock = cpuClock(clockId);
  if (clock?.of === "process" && clock.id !== 0 && !pids.has(clock.id)) {
    return {
      what:
        `its timer ${id} measures the CPU time of process ${clock.id}, which is not of the tree`,
      hint,
    };
  }
  // One that signals a thread was most likely made by that, which is not known where it has ended.
  const isOnly = threads.length === 1 && threads.includes(pid);
  const isGuess = tid === undefined ? !isOnly : !threads.includes(tid);
  if (clock?.of === "thread" && clock.id === 0 && isGuess) {
    return {
      what:
        `its timer ${id} measures the CPU time of the thread that made it, and the kernel does not ` +
        "tell which of its threads that is",
      hint: "have the program make it with the clock of pthread_getcpuclockid(3)",
    };
  }
  const bound = [tid, clock?.of === "thread" && clock.id !== 0 ? clock.id : undefined];
  // A thread that has ended is made for a moment at the restore; the first one of a process always is.
  const taken = bound.find((one) =>
    one !== undefined && one !== pid && !threads.includes(one) && ids.has(one)
  );
  if (taken === undefined) return undefined;
  const holder = pids.has(taken) ? "process" : "thread";
  return {
    what: `its timer ${id} belongs to a thread of process ${pid} that has ended, and whose id ` +
      `${taken} another ${holder} of the tree has by now`,
    hint,
  };
}
