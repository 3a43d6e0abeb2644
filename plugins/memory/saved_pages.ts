/**
 * The pages of an image as they are brought back: which run of addresses lies where in a pages file. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { type Pagemap, PE_PARENT, PE_PRESENT } from "../../images/mod.ts";
import { MAX_IOVECS, type Run, type Transfer } from "./runs.ts";

/** A run and where it lies. */
export interface SavedRun extends Run {
  /** The path of the pages file. */
  readonly pages: string;
  /** The place in it, in bytes. */
  readonly offset: bigint;
}

/** Where a pagemap's pages are. */
export interface PagesPlaces {
  /** The pagemap's path, for errors. */
  readonly file: string;
  /** The path of its pages file. */
  readonly pages: string;
  /** What the pagemap of the same name in the parent says; absent where there is none. */
  readonly parent?: readonly SavedRun[];
}

/**
 * The runs of a pagemap.
 *
 * @throws {StasisError} `bad-image` where runs overlap, or are not in the parent that should have them, or there is
 *   none
 */
export function savedRuns(
  { entries }: Pick<Pagemap, "entries">,
  { file, pages, parent }: PagesPlaces,
): SavedRun[] {
  const runs: SavedRun[] = [];
  const inParent = parent && new ParentRuns(parent, file);
  let offset = 0n;
  let end = 0n;
  for (const { vaddr, nrPages, flags } of entries) {
    const size = BigInt(nrPages) * PAGE_SIZE;
    if (vaddr % PAGE_SIZE !== 0n || vaddr < end) {
      throw new StasisError(
        "bad-image",
        `${file} has its pages in the wrong order, at 0x${vaddr.toString(16)}`,
      );
    }
    end = vaddr + size;
    if ((flags & PE_PARENT) !== 0) {
      if (inParent === undefined) {
        throw new StasisError("bad-image", `${file} has pages in a parent that is not there`, {
          hint: "have all images of an incremental checkpoint in place",
        });
      }
      inParent.find(vaddr, size, runs);
      continue;
    }
    if ((flags & PE_PRESENT) === 0) continue;
    if (size > 0n) runs.push({ start: vaddr, size, pages, offset });
    offset += size;
  }
  return runs;
}

/** The runs of a parent; ask in ascending order. */
class ParentRuns {
  #next = 0;

  constructor(private readonly runs: readonly SavedRun[], private readonly file: string) {}

  /** Appends where the pages of a range are. */
  find(start: bigint, size: bigint, found: SavedRun[]): void {
    const end = start + size;
    for (let at = start; at < end;) {
      const run = this.runs[this.#next];
      const last = run === undefined ? at : endOf(run);
      if (run !== undefined && last <= at) {
        this.#next++;
        continue;
      }
      if (run === undefined || run.start > at) {
        const where = `0x${at.toString(16)}`;
        throw new StasisError(
          "bad-image",
          `${this.file} has a page at ${where} in its parent, which has none`,
          {
            hint: "the directory is damaged: make the checkpoint again",
          },
        );
      }
      const to = last < end ? last : end;
      found.push(cutRun(run, at, to));
      at = to;
    }
  }
}

/** The part of a run between two addresses within it. */
export function cutRun(run: SavedRun, start: bigint, end: bigint): SavedRun {
  const size = end - start;
  // There are many, and most are wanted whole.
  if (start === run.start && size === run.size) return run;
  return { start, size, pages: run.pages, offset: run.offset + start - run.start };
}

/**
 * Takes out of runs what others cover.
 *
 * @param runs ascending
 * @param others ascending
 * @param covers whether a run is covered where one of the others lies at the same addresses
 */
export function uncovered<Other extends Run>(
  runs: readonly SavedRun[],
  others: readonly Other[],
  covers: (run: SavedRun, other: Other) => boolean,
): SavedRun[] {
  const left: SavedRun[] = [];
  let next = 0;
  for (const run of runs) {
    const end = run.start + run.size;
    let at = run.start;
    while (next < others.length && endOf(others[next] as Other) <= at) next++;
    for (let index = next; index < others.length; index++) {
      const other = others[index] as Other;
      if (other.start >= end) break;
      if (!covers(run, other)) continue;
      if (other.start > at) left.push(cutRun(run, at, other.start));
      at = endOf(other);
    }
    if (at < end) left.push(cutRun(run, at, end));
  }
  return left;
}

function endOf({ start, size }: Run): bigint {
  return start + size;
}

/** An address range that gets no contents. */
export interface Hole {
  readonly start: bigint;
  readonly end: bigint;
}

/** Takes ranges out of runs. Both are ascending. */
export function withoutHoles(runs: readonly SavedRun[], holes: readonly Hole[]): SavedRun[] {
  if (holes.length === 0) return [...runs];
  const left: SavedRun[] = [];
  let next = 0;
  for (const run of runs) {
    let at = run.start;
    const end = endOf(run);
    while (next < holes.length && (holes[next] as Hole).end <= at) next++;
    for (let index = next; index < holes.length; index++) {
      const hole = holes[index] as Hole;
      if (hole.start >= end) break;
      if (hole.start > at) left.push(cutRun(run, at, hole.start));
      at = hole.end;
    }
    if (at < end) left.push(cutRun(run, at, end));
  }
  return left;
}

/** At most so much by one call: the kernel ends a longer one early (MAX_RW_COUNT, include/linux/fs.h). */
const MAX_TRANSFER = 1n << 30n;

/** Puts runs that lie one behind the other in one pages file together into calls. */
export function readTransfers(
  runs: readonly Omit<SavedRun, "pages">[],
  limit = MAX_TRANSFER,
): Transfer[] {
  const transfers: { runs: Run[]; offset: bigint; size: bigint }[] = [];
  for (const run of runs) {
    for (let done = 0n; done < run.size;) {
      const last = transfers.at(-1);
      const offset = run.offset + done;
      const joins = last !== undefined && last.offset + last.size === offset &&
        last.runs.length < MAX_IOVECS && last.size < limit;
      const room = joins ? limit - last.size : limit;
      const size = run.size - done < room ? run.size - done : room;
      const part = { start: run.start + done, size };
      if (joins) {
        last.runs.push(part);
        last.size += size;
      } else transfers.push({ runs: [part], offset, size });
      done += size;
    }
  }
  return transfers;
}

/** Tells whether ranges hold contents; ask in ascending order. */
export class ContentFinder {
  readonly #runs: readonly SavedRun[];
  #next = 0;

  constructor(runs: readonly SavedRun[]) {
    this.#runs = runs;
  }

  /** Whether any run overlaps the range. */
  has(start: bigint, end: bigint): boolean {
    for (; this.#next < this.#runs.length; this.#next++) {
      const run = this.#runs[this.#next] as SavedRun;
      if (run.start + run.size > start) return run.start < end;
    }
    return false;
  }
}
