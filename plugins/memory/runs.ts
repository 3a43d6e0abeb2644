/**
 * Runs of pages: which pages of an address space are saved, and how they are cut into system calls. Pure.
 *
 * @module
 */
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { PageIs } from "../../core/linux/procfs/pagemap.ts";

/** Adjacent pages. */
export interface Run {
  readonly start: bigint;
  /** In bytes, whole pages. */
  readonly size: bigint;
}

/** Runs that one call moves, and where they lie in the pages file, one behind the other. */
export interface Transfer {
  readonly runs: readonly Run[];
  /** In the pages file, in bytes. */
  readonly offset: bigint;
  /** Of all runs together. */
  readonly size: bigint;
}

/** The most iovecs that a call takes (UIO_MAXIOV, include/uapi/linux/uio.h). */
export const MAX_IOVECS = 1024;

/** Appends a run, or makes the last one longer. */
export function appendRun(runs: Run[], start: bigint, size: bigint): void {
  const last = runs.at(-1);
  if (last !== undefined && last.start + last.size === start) {
    runs[runs.length - 1] = { start: last.start, size: last.size + size };
  } else runs.push({ start, size });
}

/** Makes one run of those that follow each other, wherever they lie in files. @param runs ascending */
export function joinRuns(runs: readonly Run[]): Run[] {
  const joined: Run[] = [];
  for (const { start, size } of runs) appendRun(joined, start, size);
  return joined;
}

/**
 * Whether pages hold something which is not to be had elsewhere: not the zero page, not a guard, not what the mapped
 * file holds already.
 */
export function hasContents(categories: number): boolean {
  return (categories & (PageIs.FILE | PageIs.PFNZERO | PageIs.GUARD)) === 0;
}

/** Whether pages are guards (MADV_GUARD_INSTALL). */
export function isGuard(categories: number): boolean {
  return (categories & PageIs.GUARD) !== 0;
}

/** The size of all runs. */
export function totalSize(runs: readonly Run[]): bigint {
  return runs.reduce((sum, { size }) => sum + size, 0n);
}

/**
 * Cuts runs into transfers of at most {@link MAX_IOVECS} runs and `limit` bytes.
 *
 * @param offset where the first one lies in the pages file
 * @param limit whole pages
 */
export function cutTransfers(runs: readonly Run[], offset: bigint, limit: bigint): Transfer[] {
  const transfers: Transfer[] = [];
  let current: Run[] = [];
  let size = 0n;
  const flush = (): void => {
    if (current.length === 0) return;
    transfers.push({ runs: current, offset, size });
    offset += size;
    current = [];
    size = 0n;
  };
  for (const run of runs) {
    let { start, size: left } = run;
    while (left > 0n) {
      const part = left < limit - size ? left : limit - size;
      current.push({ start, size: part });
      size += part;
      start += part;
      left -= part;
      if (size === limit || current.length === MAX_IOVECS) flush();
    }
  }
  flush();
  return transfers;
}

/** An array of struct iovec. */
export function iovecs(runs: readonly Run[]): Uint8Array {
  const words = new BigUint64Array(runs.length * 2);
  runs.forEach(({ start, size }, index) => {
    words[2 * index] = start;
    words[2 * index + 1] = size;
  });
  return new Uint8Array(words.buffer);
}

/** The number of pages of a run. */
export function pageCount(run: Run): number {
  return Number(run.size / PAGE_SIZE);
}
