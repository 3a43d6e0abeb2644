/**
 * How the pages of a chain of checkpoints are laid out when they are merged into one: whose pages files each task
 * reads, and what tasks have in common, which is what they have at one address from one place of one file. Pure.
 *
 * @module
 */
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { appendSharedRuns, type SharedRun } from "./shared_frames.ts";
import type { SavedRun } from "./saved_pages.ts";

/** Tasks that have pages in common. */
export interface SavedFamily {
  /** Their pids. */
  readonly tasks: readonly number[];
  /** What they have in common, by their indices, ascending. */
  readonly runs: readonly SharedRun[];
}

/** Addresses are compared in pieces of so many pages. */
const WINDOW_PAGES = 512;
const WINDOW = BigInt(WINDOW_PAGES) * PAGE_SIZE;

/**
 * Finds what tasks have in common.
 *
 * @param runsOf the runs of each task, by its pid, ascending
 */
export function savedFamilies(runsOf: ReadonlyMap<number, readonly SavedRun[]>): SavedFamily[] {
  return relatives(runsOf).flatMap((tasks) => {
    const runs = commonRuns(tasks.map((pid) => runsOf.get(pid) ?? []));
    return runs.length > 0 ? [{ tasks, runs }] : [];
  });
}

/** Groups of tasks that read the same files, two at the least. */
function relatives(runsOf: ReadonlyMap<number, readonly SavedRun[]>): number[][] {
  const groupOf = new Map<string, number[]>();
  for (const [pid, runs] of runsOf) {
    let group = [pid];
    for (const file of new Set(runs.map(({ pages }) => pages))) {
      const other = groupOf.get(file);
      if (other !== undefined && other !== group) {
        const [small, large] = other.length < group.length ? [other, group] : [group, other];
        large.push(...small);
        for (const [path, one] of groupOf) if (one === small) groupOf.set(path, large);
        group = large;
      }
      groupOf.set(file, group);
    }
  }
  return [...new Set(groupOf.values())].filter((group) => group.length > 1)
    .map((group) => group.sort((a, b) => a - b));
}

function commonRuns(tasks: readonly (readonly SavedRun[])[]): SharedRun[] {
  const files = new Map<string, number>();
  for (const runs of tasks) {
    for (const { pages } of runs) if (!files.has(pages)) files.set(pages, files.size);
  }
  const places = tasks.map((runs) => new Places(runs, files));
  const found: SharedRun[] = [];
  for (let base = 0n;;) {
    const next = places.reduce<bigint | undefined>((least, one) => {
      const start = one.from(base);
      return start === undefined || least !== undefined && least <= start ? least : start;
    }, undefined);
    if (next === undefined) return found;
    base = next / WINDOW * WINDOW;
    const here = places.map((one) => one.window(base));
    const sharing = [...here.keys()].filter((index) => here[index] !== undefined);
    if (sharing.length > 1) {
      const frames = sharing.map((index) => here[index] as Float64Array);
      appendSharedRuns(found, base, frames, sharing);
    }
    base += WINDOW;
  }
}

/** Numbers the places of a task's pages: those that have the same are one page. */
class Places {
  #next = 0;

  constructor(
    private readonly runs: readonly SavedRun[],
    private readonly files: ReadonlyMap<string, number>,
  ) {}

  /** The first address from one on at which there is something. */
  from(base: bigint): bigint | undefined {
    for (; this.#next < this.runs.length; this.#next++) {
      const { start, size } = this.runs[this.#next] as SavedRun;
      if (start + size > base) return start > base ? start : base;
    }
    return undefined;
  }

  /** The numbers of a window's pages, 0 where there is none; undefined where there are none at all. */
  window(base: bigint): Float64Array | undefined {
    const frames = new Float64Array(WINDOW_PAGES);
    let some = false;
    for (let at = this.#next; at < this.runs.length; at++) {
      const { start, size, offset, pages } = this.runs[at] as SavedRun;
      if (start >= base + WINDOW) break;
      const from = start > base ? start : base;
      const to = start + size < base + WINDOW ? start + size : base + WINDOW;
      // 2^36 pages of a file are more than any has.
      const first = (this.files.get(pages) ?? 0) * 2 ** 36 +
        Number((offset + from - start) / PAGE_SIZE) + 1;
      const index = Number((from - base) / PAGE_SIZE), count = Number((to - from) / PAGE_SIZE);
      for (let page = 0; page < count; page++) frames[index + page] = first + page;
      some ||= count > 0;
    }
    return some ? frames : undefined;
  }
}
