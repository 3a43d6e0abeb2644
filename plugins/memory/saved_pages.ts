/**
 * The pages of an image as they are brought back: which run of addresses lies where in a pages file. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { type Pagemap, PE_PARENT, PE_PRESENT } from "../../images/mod.ts";
import { MAX_IOVECS, type Run, type Transfer } from "./runs.ts";

/** A run and where it lies in the pages file. */
export interface SavedRun extends Run {
  /** In bytes. */
  readonly offset: bigint;
}

/**
 * The runs of a pagemap.
 *
 * @param file the pagemap's name, for errors
 * @throws {StasisError} `bad-image` where runs overlap; `unsupported` where pages are in a parent image
 */
export function savedRuns(pagemap: Pagemap, file: string): SavedRun[] {
  const runs: SavedRun[] = [];
  let offset = 0n;
  let end = 0n;
  for (const { vaddr, nrPages, flags } of pagemap.entries) {
    const size = BigInt(nrPages) * PAGE_SIZE;
    if (vaddr % PAGE_SIZE !== 0n || vaddr < end) {
      throw new StasisError(
        "bad-image",
        `${file} has its pages in the wrong order, at 0x${vaddr.toString(16)}`,
      );
    }
    end = vaddr + size;
    if ((flags & PE_PARENT) !== 0) {
      throw new StasisError("unsupported", `${file} has pages in a parent image`, {
        hint: "incremental images cannot be restored yet: make a whole checkpoint",
      });
    }
    if ((flags & PE_PRESENT) === 0) continue;
    if (size > 0n) runs.push({ start: vaddr, size, offset });
    offset += size;
  }
  return runs;
}

/** An address range that gets no contents. */
export interface Hole {
  readonly start: bigint;
  readonly end: bigint;
}

/** Takes ranges out of runs. `holes` are ascending. */
export function withoutHoles(runs: readonly SavedRun[], holes: readonly Hole[]): SavedRun[] {
  if (holes.length === 0) return [...runs];
  const left: SavedRun[] = [];
  for (const run of runs) {
    let at = run.start;
    const end = run.start + run.size;
    const push = (to: bigint): void => {
      if (to > at) left.push({ start: at, size: to - at, offset: run.offset + (at - run.start) });
    };
    for (const hole of holes) {
      if (hole.end <= at || hole.start >= end) continue;
      push(hole.start);
      at = hole.end;
    }
    push(end);
  }
  return left;
}

/** At most so much by one call: the kernel ends a longer one early (MAX_RW_COUNT, include/linux/fs.h). */
const MAX_TRANSFER = 1n << 30n;

/** Puts runs that lie one behind the other in the pages file together into calls. */
export function readTransfers(runs: readonly SavedRun[], limit = MAX_TRANSFER): Transfer[] {
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
