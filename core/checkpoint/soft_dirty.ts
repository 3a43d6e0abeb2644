/**
 * Which pages of a task have been written to, by the kernel's soft-dirty bits: where it has them and no asynchronous
 * write protection (before 6.7). Source: Documentation/admin-guide/mm/soft-dirty.rst, clear_refs_write() of
 * `fs/proc/task_mmu.c`.
 *
 * The bits are the task's, not those of who looks: whoever may trace it can clear them, as CRIU does, and what had been
 * written to until then would look unchanged. So some pages that a program does not write to, those that the dynamic
 * linker has made read-only (RELRO), get a byte of their own written again after each clearing. That marks them alone;
 * and where one of them is unmarked at the next look, somebody has cleared the bits meanwhile. Another Stasis, which
 * would mark the same pages, is kept away by a lock of the task's directory in `/proc`.
 *
 * @module
 */
import { isErrno } from "../linux/errno.ts";
import { AT_FDCWD, O } from "../linux/fcntl.ts";
import { fileError } from "../linux/files.ts";
import { lockDirectory } from "../linux/flock.ts";
import { addressOf, cString, pread, syscall } from "../linux/libc_ffi.ts";
import { OpenPagemap } from "../linux/open_pagemap.ts";
import { OwnedDescriptor } from "../linux/pidfd.ts";
import { offsetAddress, PAGE_SIZE, type RemoteAddress } from "../linux/address.ts";
import {
  type AddressRange,
  decodePagemapEntry,
  PageIs,
  type PageRegion,
  PROT_WRITE,
  scanPages,
  type Vma,
} from "../linux/procfs/mod.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { FrozenTask } from "../contract/checkpoint.ts";
import { cutRanges } from "./ranges.ts";

/** What clears the soft-dirty bits of all pages and mappings (CLEAR_REFS_SOFT_DIRTY). */
const CLEAR = new TextEncoder().encode("4");

/** So many pages are marked at most, each of another mapping. */
const MARKS = 4;

/** The soft-dirty bits of one task, which this process alone clears; ends with its scope. */
export class SoftDirty implements Disposable {
  readonly #lock: Disposable;
  readonly #startTime: bigint;
  #marks: readonly RemoteAddress[] = [];

  private constructor(lock: Disposable, startTime: bigint) {
    this.#lock = lock;
    this.#startTime = startTime;
  }

  /** @returns why they cannot be used */
  static open({ pid, proc }: FrozenTask): SoftDirty | string {
    if (!hasSoftDirty()) return "this kernel has no soft-dirty bits either";
    const lock = lockDirectory(`/proc/${pid}`);
    if (typeof lock === "string") return `another Stasis uses the soft-dirty bits of task ${pid}`;
    return new SoftDirty(lock, proc.stat.startTime);
  }

  /** Whether a task is the one that they are of, and not a later one with its id. */
  isOf({ proc }: FrozenTask): boolean {
    return proc.stat.startTime === this.#startTime;
  }

  /**
   * What has been written to since {@link begin}; undefined where that is not certain.
   *
   * @param ranges ascending, private, of mappings that {@link isKnown}
   */
  written(
    { proc: { liveTid, vmas } }: FrozenTask,
    ranges: readonly AddressRange[],
  ): AddressRange[] | undefined {
    if (this.#marks.length === 0) return undefined;
    using pagemap = new OpenPagemap(liveTid);
    if (!this.#marks.every((mark) => isMarked(vmas, pagemap, mark))) return undefined;
    return dirty(pagemap, ranges);
  }

  /**
   * Clears all bits and marks some pages. The task stands still.
   *
   * @returns whether it is certain from now on what is written to: not where no page can be marked
   */
  begin({ proc: { liveTid, vmas }, remote: { memory } }: FrozenTask): boolean {
    this.#marks = [];
    using pagemap = new OpenPagemap(liveTid);
    using references = openReferences(liveTid);
    const marks = findPlaces(vmas, pagemap);
    if (
      marks.length === 0 ||
      syscall(SYSCALLS.write, references.fd, CLEAR, CLEAR.length) !== BigInt(CLEAR.length)
    ) return false;
    for (const mark of marks) memory.write(mark, memory.read(mark, 1));
    if (!marks.every((mark) => dirty(pagemap, [pageAt(mark)]).length > 0)) return false;
    this.#marks = marks;
    return true;
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

/** Whether a mapping was there when the bits were cleared: one that is new, or grew, counts as changed. */
export function isKnown({ flags }: Vma): boolean {
  return !flags.has("sd");
}

/** Whether a program may not write to a mapping, and yet has pages of its own there. */
function isReadOnly({ shared, anonymous, prot }: Vma): boolean {
  return !shared && anonymous > 0 && (prot & PROT_WRITE) === 0;
}

/** Pages to mark, one a mapping. */
function findPlaces(vmas: readonly Vma[], pagemap: OpenPagemap): RemoteAddress[] {
  const places: RemoteAddress[] = [];
  for (const vma of vmas) {
    if (places.length === MARKS) break;
    const page = isReadOnly(vma) && scanPages(pagemap, [vma]).find(isOwn);
    if (page) places.push(page.start);
  }
  return places;
}

/** Whether a page is still where it was marked, and marked. */
function isMarked(vmas: readonly Vma[], pagemap: OpenPagemap, mark: RemoteAddress): boolean {
  const vma = vmas.find(({ start, end }) => start <= mark && mark < end);
  if (vma === undefined || !isReadOnly(vma) || !isKnown(vma)) return false;
  const [page] = scanPages(pagemap, [pageAt(mark)]);
  return page !== undefined && isOwn(page) && (page.categories & PageIs.SOFT_DIRTY) !== 0;
}

/** Whether pages are in memory, and no file's. */
function isOwn({ categories }: PageRegion): boolean {
  return (categories & (PageIs.PRESENT | PageIs.FILE | PageIs.PFNZERO)) === PageIs.PRESENT;
}

function pageAt(start: RemoteAddress): AddressRange {
  return { start, end: offsetAddress(start, PAGE_SIZE) };
}

/** What of some ranges is marked; ascending. */
function dirty(pagemap: OpenPagemap, ranges: readonly AddressRange[]): AddressRange[] {
  const found = scanPages(pagemap, ranges).filter(({ categories }) =>
    categories & PageIs.SOFT_DIRTY
  );
  return cutRanges(found, ranges);
}

function openReferences(tid: number): OwnedDescriptor {
  const path = `/proc/${tid}/clear_refs`;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), O.WRONLY | O.CLOEXEC, 0);
  if (isErrno(opened)) throw fileError("open", path, opened);
  return new OwnedDescriptor(Number(opened));
}

let known: boolean | undefined;

/** Whether this kernel has soft-dirty bits (CONFIG_MEM_SOFT_DIRTY): a page that was just written to has it. */
export function hasSoftDirty(): boolean {
  if (known !== undefined) return known;
  const page = new Uint8Array(8).fill(1);
  const entry = new Uint8Array(8);
  using pagemap = new OpenPagemap(Deno.pid);
  pread(pagemap.fd, entry, addressOf(page) / PAGE_SIZE * 8n);
  return known = decodePagemapEntry(new BigUint64Array(entry.buffer)[0] as bigint).softDirty;
}
