/**
 * Which pages are as the checkpoint before has them, and so are left out: page by page, by comparing what a task has
 * now with what is in the images.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { ComparedBuffers } from "../../core/linux/compared_buffers.ts";
import { addressOf } from "../../core/linux/libc_ffi.ts";
import type { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { CallBatch } from "../../core/linux/x86_64/call_batch_ffi.ts";
import type { Run } from "./runs.ts";
import { cutRun, type SavedRun } from "./saved_pages.ts";
import { openPath } from "./open_path.ts";

const O_RDONLY = 0;
/** So much is compared at once: it stays in the processor's cache, and a call more for each megabyte costs nothing. */
const WINDOW = 1 << 20;
/** So many parts are read by one call out of JavaScript at the most: single pages, of which there are many. */
const MOST_PARTS = 256;
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

/** What pages are now. */
export interface PagesNow {
  /** A file of them, by address. */
  readonly fd: number;
  /** Fills a buffer with what is at an address, where the file gives less than all of it; it may throw. */
  readInto(address: bigint, buffer: Uint8Array): void;
}

/** Compares memory with images, for as long as one checkpoint takes. */
export class PageComparer implements Disposable {
  readonly #buffers = new ComparedBuffers(WINDOW);
  /** Each page by its first word: most that differ do so there. */
  readonly #one = new BigUint64Array(this.#buffers.one.buffer);
  readonly #other = new BigUint64Array(this.#buffers.other.buffer);
  readonly #batch = new CallBatch(
    Array.from({ length: 2 * MOST_PARTS }, () => ({ name: "pread64", args: [] })),
  );
  readonly #addresses = [addressOf(this.#buffers.one), addressOf(this.#buffers.other)] as const;
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
   * @returns ascending
   * @throws {StasisError} `bad-image` where the images have less than they should, and what `readInto` throws
   */
  unchanged(runs: readonly SavedRun[], now: PagesNow): SavedRun[] {
    const found: SavedRun[] = [];
    let parts: SavedRun[] = [];
    let size = 0;
    for (const run of runs) {
      for (let at = run.start; at < endOf(run);) {
        const left = Number(endOf(run) - at);
        const part = cutRun(run, at, at + BigInt(Math.min(left, WINDOW - size)));
        parts.push(part);
        size += Number(part.size);
        at = endOf(part);
        if (size < WINDOW && parts.length < MOST_PARTS) continue;
        this.#compare(parts, now, found);
        parts = [];
        size = 0;
      }
    }
    this.#compare(parts, now, found);
    return found;
  }

  /** Reads parts, which all find room in the buffers, and compares them. */
  #compare(parts: readonly SavedRun[], now: PagesNow, found: SavedRun[]): void {
    this.#check();
    const batch = this.#batch;
    const buffers = this.#buffers;
    let offset = 0n;
    parts.forEach((part, index) => {
      const fds = [this.#open(part.pages), now.fd], places = [part.offset, part.start];
      for (const side of [0, 1] as const) {
        const call = 2 * index + side;
        batch.setArgument(call, 0, BigInt(fds[side] as number));
        batch.setArgument(call, 1, this.#addresses[side] + offset);
        batch.setArgument(call, 2, part.size);
        batch.setArgument(call, 3, places[side] as bigint);
      }
      offset += part.size;
    });
    batch.run(2 * parts.length);
    let at = 0;
    parts.forEach((part, index) => {
      const size = Number(part.size);
      if (batch.result(2 * index) !== part.size) {
        throw new StasisError("bad-image", `${part.pages} has less than its pagemap says`, {
          hint: "make a checkpoint without a parent",
        });
      }
      if (batch.result(2 * index + 1) !== part.size) {
        now.readInto(part.start, buffers.other.subarray(at, at + size));
      }
      if (this.#areEqual(at, size)) append(found, part);
      else if (size > PAGE) this.#appendPages(part, at, found);
      at += size;
    });
  }

  #areEqual(at: number, size: number): boolean {
    return this.#one[at / 8] === this.#other[at / 8] && this.#buffers.areEqual(at, at + size);
  }

  #appendPages(part: SavedRun, from: number, found: SavedRun[]): void {
    for (let at = 0; at < Number(part.size); at += PAGE) {
      if (!this.#areEqual(from + at, PAGE)) continue;
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
