/**
 * What changed in the memory of a process between two checkpoints, page by page.
 *
 * @module
 */
import { VMA_FILE_PRIVATE, VMA_FILE_SHARED } from "../../images/flags.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { memoryOwner, readRun, savedMappings } from "../../plugins/memory/saved_memory.ts";
import { cutRun, type SavedRun } from "../../plugins/memory/saved_pages.ts";
import type { MappingInfo } from "../inspect/mapping.ts";
import type { PagesDiff } from "./changes.ts";

const PAGE_SIZE = 4096n;
/** So much of each is in memory at once. */
const PART = 1n << 20n;

/** Pages at the same addresses, of which one side may have none saved. */
export interface PairedRun {
  readonly start: bigint;
  /** In bytes. */
  readonly size: bigint;
  readonly before?: SavedRun;
  readonly after?: SavedRun;
}

/**
 * Puts runs at the same addresses beside each other.
 *
 * @param before ascending, without overlaps, as `after`
 * @param most the longest pair, in bytes
 */
export function pairRuns(
  before: readonly SavedRun[],
  after: readonly SavedRun[],
  most: bigint,
): PairedRun[] {
  const pairs: PairedRun[] = [];
  let one = 0, other = 0;
  let at = 0n;
  while (one < before.length || other < after.length) {
    const sides = [before[one], after[other]] as const;
    const starts = sides.flatMap((run) =>
      run === undefined ? [] : [run.start > at ? run.start : at]
    );
    const start = starts.reduce((least, one) => one < least ? one : least);
    // Up to where either begins, ends, or it is enough.
    const bounds = sides.flatMap((run) => run === undefined ? [] : [run.start, endOf(run)]);
    const end = [...bounds, start + most].filter((one) => one > start)
      .reduce((least, one) => one < least ? one : least);
    const [first, second] = sides.map((run) =>
      run !== undefined && run.start <= start && endOf(run) >= end
        ? cutRun(run, start, end)
        : undefined
    );
    pairs.push({ start, size: end - start, before: first, after: second });
    if (sides[0] !== undefined && endOf(sides[0]) <= end) one++;
    if (sides[1] !== undefined && endOf(sides[1]) <= end) other++;
    at = end;
  }
  return pairs;
}

/** How many pages of two equally long pieces of memory differ. */
export function countDifferent(before: Uint8Array, after: Uint8Array): number {
  const size = Number(PAGE_SIZE);
  // By words: most pages are equal, and have to be looked at to the end.
  const [one, other] = [before, after].map((bytes) =>
    new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8)
  ) as [BigUint64Array, BigUint64Array];
  let count = 0;
  for (let page = 0; page < before.length; page += size) {
    for (let word = page / 8; word < (page + size) / 8; word++) {
      if (one[word] === other[word]) continue;
      count++;
      break;
    }
  }
  return count;
}

/**
 * Compares the memory of a process with what it was: of each mapping that has changed pages, how many. What is not
 * saved is zeros where there is no file; of a file it is what the file holds, which cannot be compared: such pages have
 * changed where one side has them.
 *
 * @param mappings of the process as `inspect` has them, in the second checkpoint
 * @throws {StasisError} `bad-image`, `io`
 */
export function diffPages(
  before: ImageDirectory,
  after: ImageDirectory,
  pid: number,
  mappings: readonly MappingInfo[],
): PagesDiff[] {
  const [owner, other] = [memoryOwner(before, pid), memoryOwner(after, pid)];
  // What several have in common is told of the first.
  if (owner === undefined || other !== pid) return [];
  const old = savedMappings(before, owner).flatMap(({ runs }) => runs);
  const infos = new Map(mappings.map((mapping) => [mapping.start, mapping]));
  const found: PagesDiff[] = [];
  let next = 0;
  for (const { vma, runs } of savedMappings(after, pid)) {
    while (next < old.length && endOf(old[next] as SavedRun) <= vma.start) next++;
    const theirs: SavedRun[] = [];
    for (let at = next; at < old.length && (old[at] as SavedRun).start < vma.end; at++) {
      const run = old[at] as SavedRun;
      const start = run.start > vma.start ? run.start : vma.start;
      theirs.push(cutRun(run, start, endOf(run) < vma.end ? endOf(run) : vma.end));
    }
    const isFile = (vma.status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)) !== 0;
    const changed = pairRuns(theirs, runs, PART)
      .reduce((sum, pair) => sum + countChanged(pair, isFile), 0);
    const mapping = infos.get(`0x${vma.start.toString(16)}`);
    if (changed === 0 || mapping === undefined) continue;
    const { start, end, name } = mapping;
    const saved = Number(runs.reduce((sum, { size }) => sum + size, 0n) / PAGE_SIZE);
    found.push({ mapping: { start, end, name }, changed, saved });
  }
  return found;
}

function countChanged({ size, before, after }: PairedRun, isFile: boolean): number {
  if (before === undefined && after === undefined) return 0;
  if (isFile && (before === undefined || after === undefined)) return Number(size / PAGE_SIZE);
  const [one, other] = [before, after].map((run) => {
    const bytes = new Uint8Array(Number(size));
    if (run !== undefined) readRun(run, bytes);
    return bytes;
  }) as [Uint8Array, Uint8Array];
  return countDifferent(one, other);
}

function endOf({ start, size }: SavedRun): bigint {
  return start + size;
}
