/**
 * How much memory is there for the sake of shadows alone: pages that a task has had copied since, by writing to them, or
 * has given up, and that its shadow has.
 *
 * The kernel tells it of a shadow (`/proc/PID/smaps_rollup`: pages that are nobody else's), which takes 10 ms for each
 * gigabyte. So it is asked only where it may be too much by now: each copy is a minor fault of the task, and what it
 * gives up makes it smaller.
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
  readonly faults: bigint;
  /** In pages. */
  readonly resident: bigint;
}

/** The cost of the shadows of a tree, in bytes. */
export class SnapshotCost {
  readonly #pairs: readonly CostlyPair[];
  readonly #limit: number;
  readonly #before: readonly Seen[];
  /** At which estimate the kernel is asked. */
  #askedAt: number;

  /**
   * Begins when the tasks run again.
   *
   * @param limit in bytes
   */
  constructor(pairs: readonly CostlyPair[], limit: number) {
    this.#pairs = pairs;
    this.#limit = limit;
    this.#before = pairs.map(({ task }) => look(task));
    this.#askedAt = limit;
  }

  /** Whether it is more than it may be. */
  get isTooMuch(): boolean {
    const estimate = this.#pairs.reduce(
      (sum, { task }, index) => sum + mostSince(this.#before[index] as Seen, look(task)),
      0,
    );
    if (estimate <= this.#askedAt) return false;
    const cost = this.#pairs.reduce((sum, { shadow }) => sum + ownMemory(shadow), 0);
    this.#askedAt = estimate + this.#limit - cost;
    return cost > this.#limit;
  }
}

function look(pid: number): Seen {
  return unlessGone(() => {
    const { minorFaults, rss } = readStat(pid);
    return { faults: minorFaults, resident: rss };
  }, { faults: 0n, resident: 0n });
}

/** How much it can be at the most since a task was looked at, in bytes. Of one that has ended it is all that it had. */
export function mostSince(before: Seen, now: Seen): number {
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
