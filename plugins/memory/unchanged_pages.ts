/**
 * Which pages are as the checkpoint before has them, and so are left out: page by page, by comparing what a task has
 * now with what is in the images.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { ComparedBuffers } from "../../core/linux/compared_buffers.ts";
import { pread } from "../../core/linux/libc_ffi.ts";
import type { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import type { Run } from "./runs.ts";
import { cutRun, type SavedRun } from "./saved_pages.ts";
import { openPath } from "./shared_objects.ts";

const O_RDONLY = 0;
/** So much is compared at once: it stays in the processor's cache, and a call more for each megabyte costs nothing. */
const WINDOW = 1 << 20;
const PAGE = Number(PAGE_SIZE);

/** What is at the same addresses in both: pages of now with their place in the images before. Pure. */
export function savedBefore(now: readonly Run[], before: readonly SavedRun[]): SavedRun[] {
  const both: SavedRun[] = [];
  let next = 0;
  for (const { start, size } of now) {
    const end = start + size;
    while (next < before.length && endOf(before[next] as SavedRun) <= start) next++;
    for (let at = next; at < before.length; at++) {
      const run = before[at] as SavedRun;
      if (run.start >= end) break;
      const from = run.start > start ? run.start : start;
      both.push(cutRun(run, from, endOf(run) < end ? endOf(run) : end));
    }
  }
  return both;
}

/** Compares memory with images, for as long as one checkpoint takes. */
export class PageComparer implements Disposable {
  readonly #buffers = new ComparedBuffers(WINDOW);
  readonly #files = new Map<string, OwnedDescriptor>();
  readonly #stack = new DisposableStack();
  readonly #check: () => void;

  /** @param check is called between two parts, and may throw */
  constructor(check: () => void) {
    this.#check = check;
  }

  /**
   * Those of some pages that are as they were.
   *
   * @param runs ascending, with their places in the images
   * @param readInto fills a buffer with what is at an address now
   * @returns ascending
   * @throws {StasisError} `bad-image` where the images have less than they should, and what `readInto` throws
   */
  unchanged(
    runs: readonly SavedRun[],
    readInto: (address: bigint, buffer: Uint8Array) => void,
  ): SavedRun[] {
    const found: SavedRun[] = [];
    for (const run of runs) {
      for (let at = run.start; at < endOf(run);) {
        this.#check();
        const left = Number(endOf(run) - at);
        const part = cutRun(run, at, at + BigInt(Math.min(left, WINDOW)));
        this.#compare(part, readInto, found);
        at = endOf(part);
      }
    }
    return found;
  }

  #compare(
    part: SavedRun,
    readInto: (address: bigint, buffer: Uint8Array) => void,
    found: SavedRun[],
  ): void {
    const size = Number(part.size);
    const buffers = this.#buffers;
    const saved = buffers.one.subarray(0, size);
    if (pread(this.#open(part.pages), saved, part.offset) !== size) {
      throw new StasisError("bad-image", `${part.pages} has less than its pagemap says`, {
        hint: "make a checkpoint without a parent",
      });
    }
    readInto(part.start, buffers.other.subarray(0, size));
    if (buffers.areEqual(0, size)) return void append(found, part);
    for (let at = 0; at < size; at += PAGE) {
      if (!buffers.areEqual(at, at + PAGE)) continue;
      const start = part.start + BigInt(at);
      append(found, cutRun(part, start, start + PAGE_SIZE));
    }
  }

  #open(path: string): number {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = this.#stack.use(openPath(path, O_RDONLY));
      this.#files.set(path, file);
    }
    return file.fd;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** Appends a run, or makes the last one longer where it goes on in memory and in the file. */
export function append(runs: SavedRun[], run: SavedRun): void {
  const last = runs.at(-1);
  if (
    last !== undefined && last.pages === run.pages && endOf(last) === run.start &&
    last.offset + last.size === run.offset
  ) runs[runs.length - 1] = { ...last, size: last.size + run.size };
  else runs.push(run);
}

function endOf({ start, size }: SavedRun): bigint {
  return start + size;
}
