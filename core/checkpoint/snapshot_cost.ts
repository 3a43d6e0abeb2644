/**
 * How much memory is there for the sake of shadows alone: pages that a task has had copied since, by writing to them, or
 * has given up, and that its shadow has.
 *
 * The kernel tells it of a shadow (`/proc/PID/smaps_rollup`: pages that are nobody else's), which takes 10 ms for each
 * gigabyte. So it is asked where by an estimate it may be too much by now: a copy is a fault of the task, and what it
 * gives up makes it smaller. That is no bound: a fault may bring a huge page, and what was given up may be mapped anew.
 * So it is asked each second in any case, or as often as takes a twentieth of the time.
 *
 * @module
 */
import { PAGE_SIZE } from "../linux/address.ts";
import { readStat, unlessGone } from "../linux/procfs/mod.ts";
import { readTaskText } from "../linux/procfs/read.ts";

/** A task and its shadow, by their pids. */
export interface CostlyPair {
  readonly task: number;
  readonly shadow: number;
}

/** What is read of a task. */
interface Seen {
  /** Since boot, in ticks; it tells a task from another one with its pid. */
  readonly startTime: bigint;
  /** Minor ones, and major ones: such are those that had to be tried again, too. */
  readonly faults: bigint;
  /** In pages. */
  readonly resident: bigint;
}

/** How long there is between two estimates at the least, in milliseconds, and how many times as long as one takes. */
const PAUSE = 10, ESTIMATING = 10;
/** The same of what the kernel is asked whatever the estimate is. */
const ASKED_EACH = 1000, ASKING = 20;

/** The cost of the shadows of a tree, in bytes. */
export class SnapshotCost {
  readonly #pairs: readonly CostlyPair[];
  readonly #before: readonly Seen[];
  /** The estimate above which the kernel is asked at once; the limit at first. */
  #suspicious: number | undefined;
  /** When it is estimated again. */
  #estimateAt = -Infinity;
  /** When the kernel is asked whatever the estimate is. */
  #askAt: number;

  /** Begins while the tasks stand still: nothing that they do then is left out. */
  constructor(pairs: readonly CostlyPair[]) {
    this.#pairs = pairs;
    this.#before = pairs.map(({ task }) => look(task));
    this.#askAt = performance.now() + ASKED_EACH;
  }

  /** Whether it is more than a limit, in bytes. To be asked as often as one likes: it takes but a part of the time. */
  exceeds(limit: number): boolean {
    const begin = performance.now();
    if (begin < this.#estimateAt) return false;
    const estimate = this.#pairs.reduce(
      (sum, { task }, index) => sum + mostSince(this.#before[index] as Seen, look(task)),
      0,
    );
    const estimated = performance.now();
    this.#estimateAt = estimated + Math.max(PAUSE, ESTIMATING * (estimated - begin));
    if (estimate <= (this.#suspicious ?? limit) && estimated < this.#askAt) return false;
    const cost = this.#pairs.reduce((sum, { shadow }) => sum + ownMemory(shadow), 0);
    const end = performance.now();
    this.#askAt = end + Math.max(ASKED_EACH, ASKING * (end - estimated));
    this.#suspicious = estimate + limit - cost;
    return cost > limit;
  }
}

const GONE: Seen = { startTime: 0n, faults: 0n, resident: 0n };

function look(pid: number): Seen {
  return unlessGone(() => {
    const { startTime, minorFaults, majorFaults, rss } = readStat(pid);
    return { startTime, faults: minorFaults + majorFaults, resident: rss };
  }, GONE);
}

/**
 * An estimate of how much it is since a task was looked at, in bytes. Of one that has ended, or whose pid is another's by
 * now, it is all that it had.
 */
export function mostSince(before: Seen, seen: Seen): number {
  const now = seen.startTime === before.startTime ? seen : GONE;
  const copied = now.faults > before.faults ? now.faults - before.faults : 0n;
  const given = before.resident > now.resident ? before.resident - now.resident : 0n;
  return Number((copied + given) * PAGE_SIZE);
}

/** The pages of a process that no other has, in bytes. */
function ownMemory(pid: number): number {
  return sumPrivate(unlessGone(() => readTaskText(pid, "smaps_rollup"), ""));
}

/** What `smaps_rollup` says of pages that are nobody else's, in bytes. */
export function sumPrivate(text: string): number {
  const sizes = text.matchAll(/^Private_(?:Clean|Dirty): +(\d+) kB$/gm);
  return [...sizes].reduce((sum, [, kilobytes]) => sum + Number(kilobytes) * 1024, 0);
}
