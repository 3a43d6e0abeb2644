/**
 * Which pages of memory a page for people has inside: all of them where there are few, else those that say most. Pure.
 *
 * @module
 */
import type { SavedRun } from "../../plugins/memory/saved_pages.ts";

const PAGE_SIZE = 4096n;

/** The memory of a process. */
export interface Memory {
  readonly pid: number;
  /** Of each of its mappings, by address. */
  readonly mappings: readonly (readonly SavedRun[])[];
  /** Where its threads are: instruction and stack pointers. */
  readonly places: readonly bigint[];
}

/** Pages of a process that were chosen. */
export interface ChosenRun {
  readonly pid: number;
  readonly run: SavedRun;
}

/**
 * Chooses pages.
 *
 * @param budget how many, of all processes together
 * @returns by process and address, adjacent ones together
 */
export function choosePages(memories: readonly Memory[], budget: number): ChosenRun[] {
  const chosen = memories.map(() => new Set<bigint>());
  let left = budget;
  const take = (memory: number, page: bigint): boolean => {
    const pages = chosen[memory] as Set<bigint>;
    if (pages.has(page)) return true;
    if (left === 0) return false;
    pages.add(page);
    left--;
    return true;
  };
  memories.forEach(({ mappings, places }, index) => {
    const saved = mappings.flat();
    for (const place of places) {
      const page = place / PAGE_SIZE * PAGE_SIZE;
      if (saved.some((run) => run.start <= page && page < endOf(run))) take(index, page);
    }
  });
  // One page of each mapping of all processes in turn: nobody has all of the room.
  let unread = memories.flatMap(({ mappings }, index) =>
    mappings.map((runs) => ({ index, pages: pagesOf(runs) }))
  );
  while (left > 0 && unread.length > 0) {
    unread = unread.filter(({ index, pages }) => {
      const next = pages.next();
      return next.done !== true && take(index, next.value);
    });
  }
  return memories.flatMap(({ pid, mappings }, index) =>
    mappings.flat().flatMap((run) =>
      piecesOf(run, chosen[index] as Set<bigint>).map((run) => ({ pid, run }))
    )
  );
}

function* pagesOf(runs: readonly SavedRun[]): Generator<bigint> {
  for (const run of runs) {
    for (let page = run.start; page < endOf(run); page += PAGE_SIZE) yield page;
  }
}

/** The parts of a run that were chosen. */
function piecesOf(run: SavedRun, chosen: ReadonlySet<bigint>): SavedRun[] {
  const pieces: SavedRun[] = [];
  for (const page of pagesOf([run])) {
    if (!chosen.has(page)) continue;
    const last = pieces.at(-1);
    if (last !== undefined && endOf(last) === page) {
      pieces[pieces.length - 1] = { ...last, size: last.size + PAGE_SIZE };
    } else {
      pieces.push({ ...run, start: page, size: PAGE_SIZE, offset: run.offset + page - run.start });
    }
  }
  return pieces;
}

function endOf({ start, size }: SavedRun): bigint {
  return start + size;
}
