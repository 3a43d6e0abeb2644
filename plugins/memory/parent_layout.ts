/**
 * What an incremental checkpoint writes and what it leaves to the checkpoint before, where tasks have pages in common,
 * copy-on-write. Pure.
 *
 * Tasks share a page again after a restore if their pagemaps lead to one place in one file. So a page that several
 * share is left out only where it is at one place before, too: a child that was born since has none there. And the
 * inner parent (`images/parent.ts`) has one list of pages for all tasks of a family: at an address that is in it, no
 * pagemap can lead past it to the checkpoint before.
 *
 * @module
 */
import type { Run } from "./runs.ts";
import type { SharedRun } from "./shared_frames.ts";
import { type SavedRun, uncovered } from "./saved_pages.ts";

/** How a family's pages are saved. */
export interface FamilyLayout {
  /** What of the common pages is written, ascending. */
  readonly written: readonly SharedRun[];
  /** What of each task is left to the checkpoint before, ascending, in the order of the tasks. */
  readonly left: readonly (readonly SavedRun[])[];
}

/**
 * Divides a family's pages.
 *
 * @param runs what its tasks have in common, by the index of the tasks, ascending
 * @param unchanged of each task its pages that are as they were before, ascending
 */
export function divideFamily(
  runs: readonly SharedRun[],
  unchanged: readonly (readonly SavedRun[])[],
): FamilyLayout {
  const cursors = unchanged.map((own) => new Cursor(own));
  const written: SharedRun[] = [];
  for (const { start, size, tasks } of runs) {
    const end = start + size;
    for (let at = start; at < end;) {
      const here = tasks.map((task) => (cursors[task] as Cursor).at(at));
      const next = here.reduce((least, { next }) => next < least ? next : least, end);
      if (!isOnePlace(here.map(({ run }) => run), at)) {
        appendShared(written, { start: at, size: next - at, tasks });
      }
      at = next;
    }
  }
  return { written, left: unchanged.map((own) => uncovered(own, written, () => true)) };
}

/** Whether all have the page at an address at one place of one file. */
function isOnePlace(runs: readonly (SavedRun | undefined)[], at: bigint): boolean {
  const [first] = runs;
  if (first === undefined) return false;
  const place = first.offset + at - first.start;
  return runs.every((run) =>
    run !== undefined && run.pages === first.pages && run.offset + at - run.start === place
  );
}

/** Finds runs by address; ask in ascending order. */
class Cursor {
  #next = 0;

  constructor(private readonly runs: readonly SavedRun[]) {}

  /** The run at an address, if there is one, and where that changes: 2^64 is beyond all addresses. */
  at(address: bigint): { readonly run: SavedRun | undefined; readonly next: bigint } {
    for (; this.#next < this.runs.length; this.#next++) {
      const run = this.runs[this.#next] as SavedRun;
      const end = run.start + run.size;
      if (end <= address) continue;
      return run.start <= address ? { run, next: end } : { run: undefined, next: run.start };
    }
    return { run: undefined, next: 1n << 64n };
  }
}

function appendShared(runs: SharedRun[], run: SharedRun): void {
  const last = runs.at(-1);
  const joins = last !== undefined && last.start + last.size === run.start &&
    last.tasks === run.tasks;
  if (joins) runs[runs.length - 1] = { ...last, size: last.size + run.size };
  else runs.push(run);
}

/** Puts two lists of runs that do not overlap into one, ascending. */
export function mergeRuns<One extends Run>(some: readonly One[], others: readonly One[]): One[] {
  if (others.length === 0) return [...some];
  return [...some, ...others].sort((a, b) => a.start < b.start ? -1 : 1);
}
