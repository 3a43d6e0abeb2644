/**
 * The pages files of a tree: which task writes what to which place of which of them, and what the pagemaps say. Pages
 * that several tasks have in common are written once, to a file of the parent (`images/parent.ts`). Pure.
 *
 * @module
 */
import { type PagemapEntry, PE_PARENT, PE_PRESENT } from "../../images/mod.ts";
import {
  appendRun,
  cutTransfers,
  joinRuns,
  pageCount,
  type Run,
  totalSize,
  type Transfer,
} from "./runs.ts";
import type { SharedRun } from "./shared_frames.ts";

/** Pages of a task, all of which it may read itself or none. */
export interface ReadableRun {
  readonly run: Run;
  readonly readable: boolean;
}

/** The same with its place in a pages file, in bytes. */
export interface Piece extends ReadableRun {
  readonly offset: bigint;
}

/** What one task writes to a pages file. */
export interface Part<Task> {
  readonly task: Task;
  /** In the order of the file. */
  readonly pieces: readonly Piece[];
}

/** The file of what the tasks of a family have in common. */
export interface SharedFile<Task> {
  /** What the pagemap of each of them says of it. */
  readonly entries: readonly PagemapEntry[];
  /** Which of those pages each task has, ascending; only those that have any. */
  readonly shared: ReadonlyMap<Task, readonly Run[]>;
  readonly parts: readonly Part<Task>[];
  /** In bytes. */
  readonly size: bigint;
}

/** Lays out the file of a family: each page is written by the first task that has it. */
export function layOutShared<Task>(
  tasks: readonly Task[],
  runs: readonly SharedRun[],
  pagesOf: (task: Task) => readonly ReadableRun[],
): SharedFile<Task> {
  const at = (index: number): Task => tasks[index] as Task;
  const written = new Map<Task, (Run & { readonly offset: bigint })[]>();
  const shared = new Map<Task, Run[]>();
  const all: Run[] = [];
  let offset = 0n;
  for (const { start, size, tasks: sharing } of runs) {
    listOf(written, at(sharing[0] as number)).push({ start, size, offset });
    for (const index of sharing) appendRun(listOf(shared, at(index)), start, size);
    appendRun(all, start, size);
    offset += size;
  }
  return {
    entries: all.map((run) => entry(run, PE_PRESENT)),
    shared,
    parts: [...written].map(([task, places]) => ({
      task,
      pieces: places.flatMap((place) => piecesOf(pagesOf(task), place)),
    })),
    size: offset,
  };
}

function listOf<Key, Item>(lists: Map<Key, Item[]>, key: Key): Item[] {
  let list = lists.get(key);
  if (list === undefined) lists.set(key, list = []);
  return list;
}

/** What of a task's pages is in a range. */
function piecesOf(
  pages: readonly ReadableRun[],
  { start, size, offset }: Run & { readonly offset: bigint },
): Piece[] {
  const pieces: Piece[] = [];
  const end = start + size;
  for (let at = firstBehind(pages, start); at < pages.length; at++) {
    const { run, readable } = pages[at] as ReadableRun;
    if (run.start >= end) break;
    const from = run.start > start ? run.start : start;
    const to = run.start + run.size < end ? run.start + run.size : end;
    pieces.push({ run: { start: from, size: to - from }, readable, offset: offset + from - start });
  }
  return pieces;
}

/** The index of the first run that ends behind an address. */
function firstBehind(pages: readonly ReadableRun[], address: bigint): number {
  let low = 0, high = pages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { run } = pages[middle] as ReadableRun;
    if (run.start + run.size <= address) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What a task writes to its own pages file: all but what is in its family's. `shared` is ascending. */
export function ownPieces(pages: readonly ReadableRun[], shared: readonly Run[]): Piece[] {
  const pieces: Piece[] = [];
  let offset = 0n;
  let next = 0;
  for (const { run, readable } of pages) {
    let at = run.start;
    const end = run.start + run.size;
    const push = (to: bigint): void => {
      if (to <= at) return;
      pieces.push({ run: { start: at, size: to - at }, readable, offset });
      offset += to - at;
    };
    for (; next < shared.length; next++) {
      const { start, size } = shared[next] as Run;
      if (start >= end) break;
      push(start);
      if (start + size > at) at = start + size;
      if (at > end) break;
    }
    push(end);
  }
  return pieces;
}

/**
 * What a pagemap says: what is in its own pages file, and what in the parent, wherever it lies there: with an entry for
 * each place pagemaps would grow with the length of a chain. Both are ascending.
 */
export function pagemapEntries(own: readonly Run[], inParent: readonly Run[]): PagemapEntry[] {
  return mergeEntries(
    own.map((run) => entry(run, PE_PRESENT)),
    joinRuns(inParent).map((run) => entry(run, PE_PARENT)),
  );
}

/** Puts entries that do not overlap into one list, by address. */
export function mergeEntries(
  some: readonly PagemapEntry[],
  others: readonly PagemapEntry[],
): PagemapEntry[] {
  if (others.length === 0) return [...some];
  return [...some, ...others].sort((a, b) => a.vaddr < b.vaddr ? -1 : 1);
}

function entry(run: Run, flags: number): PagemapEntry {
  return { vaddr: run.start, nrPages: pageCount(run), flags };
}

/**
 * Tells pieces within some ranges from those outside.
 *
 * @param ranges ascending, none of which overlaps another
 */
export function partPieces(
  pieces: readonly Piece[],
  ranges: readonly Run[],
): { readonly within: Piece[]; readonly outside: Piece[] } {
  const within: Piece[] = [];
  const outside: Piece[] = [];
  let next = 0;
  for (const { run, readable, offset } of pieces) {
    let at = run.start;
    const end = run.start + run.size;
    const push = (to: bigint, list: Piece[]): void => {
      if (to <= at) return;
      list.push({
        run: { start: at, size: to - at },
        readable,
        offset: offset + at - run.start,
      });
      at = to;
    };
    // A family's file may have them in another order than that of their addresses.
    while (next > 0 && endOf(ranges[next - 1] as Run) > at) next--;
    for (; next < ranges.length && at < end; next++) {
      const range = ranges[next] as Run;
      if (range.start >= end) break;
      push(range.start, outside);
      push(endOf(range) < end ? endOf(range) : end, within);
      if (endOf(range) > end) break;
    }
    push(end, outside);
  }
  return { within, outside };
}

function endOf({ start, size }: Run): bigint {
  return start + size;
}

/** Groups pieces that lie one behind the other in the file and are all readable or none. */
function adjacentPieces(pieces: readonly Piece[]): Piece[][] {
  const groups: Piece[][] = [];
  let end = -1n;
  for (const piece of pieces) {
    const last = groups.at(-1);
    if (last?.[0]?.readable === piece.readable && piece.offset === end) last.push(piece);
    else groups.push([piece]);
    end = piece.offset + piece.run.size;
  }
  return groups;
}

/**
 * Cuts what a task writes into calls.
 *
 * @param limit the most bytes of one, whole pages
 * @returns what it can write itself and what it cannot
 */
export function cutPieces(
  pieces: readonly Piece[],
  limit: bigint,
): { readonly direct: Transfer[]; readonly indirect: Transfer[] } {
  const direct: Transfer[] = [];
  const indirect: Transfer[] = [];
  for (const group of adjacentPieces(pieces)) {
    const [{ readable, offset }] = group as [Piece];
    const transfers = cutTransfers(group.map(({ run }) => run), offset, limit);
    for (const transfer of transfers) (readable ? direct : indirect).push(transfer);
  }
  return { direct, indirect };
}

/** The size of all pieces, in bytes. */
export function piecesSize(pieces: readonly Piece[]): bigint {
  return totalSize(pieces.map(({ run }) => run));
}
