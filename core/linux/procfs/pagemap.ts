/**
 * `/proc/PID/pagemap`: which pages of a process hold something. Two ways to one answer: the PAGEMAP_SCAN
 * ioctl (6.7 and later), which skips empty memory within the kernel, and reading eight bytes a page.
 * Source: Documentation/admin-guide/mm/pagemap.rst; kernel fs/proc/task_mmu.c, include/uapi/linux/fs.h.
 *
 * @module
 */

import { StasisError } from "../../../base/errors.ts";
import { PAGE_SIZE, type RemoteAddress, remoteAddress } from "../address.ts";
import { Errno, errnoName } from "../errno.ts";
import { defineStruct } from "../struct.ts";

/** One entry of the file: a page. */
export interface PagemapEntry {
  /** Bit 63: in memory. */
  readonly present: boolean;
  /** Bit 62: swapped out, migrating, or a marker (guard region, write protection of no page). */
  readonly swapped: boolean;
  /** Bit 61: a page of a file or of shared memory; clear for private pages that were written to. */
  readonly fileOrShared: boolean;
  /** Bit 58: a guard region, MADV_GUARD_INSTALL (6.15 and later). */
  readonly guard: boolean;
  /** Bit 57: write-protected by userfaultfd. */
  readonly uffdWriteProtected: boolean;
  /** Bit 56: mapped here only. */
  readonly exclusive: boolean;
  /** Bit 55: written since the soft-dirty bits were cleared. */
  readonly softDirty: boolean;
  /** Bits 0-54: the page frame, or swap type and offset; 0 without CAP_SYS_ADMIN. */
  readonly frame: bigint;
}

/** Decodes one entry. */
export function decodePagemapEntry(entry: bigint): PagemapEntry {
  const bit = (n: bigint): boolean => (entry >> n & 1n) === 1n;
  return {
    present: bit(63n),
    swapped: bit(62n),
    fileOrShared: bit(61n),
    guard: bit(58n),
    uffdWriteProtected: bit(57n),
    exclusive: bit(56n),
    softDirty: bit(55n),
    frame: entry & (1n << 55n) - 1n,
  };
}

/** PAGE_IS_*: categories of a page (include/uapi/linux/fs.h). */
export const PageIs = {
  WPALLOWED: 1 << 0,
  WRITTEN: 1 << 1,
  FILE: 1 << 2,
  PRESENT: 1 << 3,
  SWAPPED: 1 << 4,
  PFNZERO: 1 << 5,
  HUGE: 1 << 6,
  SOFT_DIRTY: 1 << 7,
  /** 6.16 and later: older kernels refuse it with EINVAL. */
  GUARD: 1 << 8,
} as const;

/** PM_SCAN_*: flags of the ioctl. */
export const PmScan = {
  /** Write-protect the pages that match. */
  WP_MATCHING: 1 << 0,
  /** Fail with EPERM on memory that is not registered for asynchronous write protection. */
  CHECK_WPASYNC: 1 << 1,
} as const;

/** The request: _IOWR('f', 16, struct pm_scan_arg). */
export const PAGEMAP_SCAN = 0xc0606610;

/** struct pm_scan_arg. */
export const pmScanArg = defineStruct("pm_scan_arg", 96, {
  size: [0, "u64"],
  flags: [8, "u64"],
  start: [16, "u64"],
  end: [24, "u64"],
  walkEnd: [32, "u64"],
  vec: [40, "u64"],
  vecLen: [48, "u64"],
  maxPages: [56, "u64"],
  categoryInverted: [64, "u64"],
  categoryMask: [72, "u64"],
  categoryAnyofMask: [80, "u64"],
  returnMask: [88, "u64"],
});

/** struct page_region. */
export const pageRegion = defineStruct("page_region", 24, {
  start: [0, "u64"],
  end: [8, "u64"],
  categories: [16, "u64"],
});

/** An address range; `end` is the first address behind it. Both are multiples of the page size. */
export interface AddressRange {
  readonly start: RemoteAddress;
  readonly end: RemoteAddress;
}

/** A run of pages of equal categories ({@link PageIs}). */
export interface PageRegion extends AddressRange {
  readonly categories: number;
}

/** Decodes an array of `count` struct page_region. */
export function decodePageRegions(bytes: Uint8Array, count: number): PageRegion[] {
  const regions: PageRegion[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, count * pageRegion.size);
  // Not through the description of the structure: there may be a hundred thousand.
  for (let at = 0; at < view.byteLength; at += pageRegion.size) {
    regions.push({
      start: remoteAddress(view.getBigUint64(at, true)),
      end: remoteAddress(view.getBigUint64(at + 8, true)),
      categories: Number(view.getBigUint64(at + 16, true)),
    });
  }
  return regions;
}

/** Appends a run, or makes the last one longer if it goes on with the same categories. */
function append(regions: PageRegion[], region: PageRegion): void {
  const last = regions.at(-1);
  if (last?.end === region.start && last.categories === region.categories) {
    regions[regions.length - 1] = { ...last, end: region.end };
  } else regions.push(region);
}

/** The bits in the upper half of an entry, and the category that each means. */
const PRESENT = 1 << 31, SWAPPED = 1 << 30, FILE = 1 << 29, GUARD = 1 << 26, SOFT_DIRTY = 1 << 23;

/**
 * Turns entries of the file into runs of populated pages: those in memory or swapped out.
 *
 * @param entries Whole entries of eight bytes, the first for the page at `start`.
 * @param regions Runs are appended here.
 * @param zeroFrame The frame of the kernel's zero page, if it is known: only then PFNZERO is told.
 */
export function appendPageRuns(
  entries: Uint8Array,
  start: bigint,
  regions: PageRegion[],
  zeroFrame?: bigint,
): void {
  const words = new Uint32Array(entries.buffer, entries.byteOffset, entries.byteLength >> 2);
  const zero = zeroFrame === undefined ? -1 : Number(zeroFrame);
  const pages = words.length >> 1;
  const page = Number(PAGE_SIZE);
  const base = Number(start);
  let runStart = 0;
  let runCategories = 0;
  for (let i = 0; i <= pages; i++) {
    const high = i < pages ? words[2 * i + 1]! : 0;
    let categories = 0;
    if (high & (PRESENT | SWAPPED)) {
      categories = (high & PRESENT ? PageIs.PRESENT : PageIs.SWAPPED) |
        (high & FILE ? PageIs.FILE : 0) |
        (high & GUARD ? PageIs.GUARD : 0) |
        (high & SOFT_DIRTY ? PageIs.SOFT_DIRTY : 0);
      const frame = (high & 0x7fffff) * 2 ** 32 + words[2 * i]!;
      if (high & PRESENT && frame === zero) categories |= PageIs.PFNZERO;
    }
    if (categories === runCategories) continue;
    if (runCategories !== 0) {
      append(regions, {
        start: remoteAddress(BigInt(base + runStart * page)),
        end: remoteAddress(BigInt(base + i * page)),
        categories: runCategories,
      });
    }
    runStart = i;
    runCategories = categories;
  }
}

/** What {@link scanPages} works on: the functions of libc, handed in since this file is no FFI. */
export interface PagemapAccess {
  /** `/proc/PID/pagemap`, open for reading. */
  readonly fd: number;
  /** ioctl(2): its result, or the negative errno. */
  readonly ioctl: (fd: number, request: number, argument: Uint8Array) => number;
  /** pread(2): the number of bytes, or the negative errno. */
  readonly pread: (fd: number, buffer: Uint8Array, offset: bigint) => number;
  /** Where a buffer lies in this process, for a pointer within a structure. */
  readonly addressOf: (buffer: Uint8Array) => bigint;
  /** The frame of the kernel's zero page, if the caller has found it out; for kernels before 6.7. */
  readonly zeroFrame?: bigint;
}

/**
 * The populated pages of some ranges of a process, as runs of equal categories.
 *
 * The categories are PRESENT or SWAPPED, FILE, SOFT_DIRTY, GUARD and PFNZERO. On kernels without
 * PAGEMAP_SCAN the answer is the same but for this: PFNZERO is told only with a known `zeroFrame` (so a
 * zero page looks like one with contents); a huge zero page has FILE; and raw frames (`pf` in VmFlags,
 * the vvar page for example), which the ioctl skips, are reported. SWAPPED with a marker of userfaultfd
 * may stand for a page that holds nothing: to read it is right in every case.
 *
 * @param ranges Ascending and disjoint, mappings as a rule; without PAGEMAP_SCAN the time grows with
 * their size. No run crosses a border between two of them.
 * @param hasNoFile Whether nothing in a range is a file's: of such the kernel looks at no page itself, which takes five
 * times as long as all else (16 ms for each gigabyte).
 * @throws StasisError `syscall` if the kernel refuses.
 */
export function scanPages<Range extends AddressRange>(
  access: PagemapAccess,
  ranges: readonly Range[],
  hasNoFile: (range: Range) => boolean = () => false,
): readonly PageRegion[] {
  const regions: PageRegion[] = [];
  for (const { start, end, reported } of passesOf(ranges, hasNoFile)) {
    const found = scanByIoctl(access, start, end, reported);
    if (found === undefined) return scanByReading(access, ranges);
    for (const region of found) regions.push(region);
  }
  return clip(regions, ranges);
}

/** A range is worth a pass of its own from this size on, in bytes. */
const WORTH_A_PASS = 1n << 24n;

/** What is scanned in one go: holes cost nothing, and 20,000 calls would. */
interface Pass extends AddressRange {
  /** Categories. */
  readonly reported: number;
}

function passesOf<Range extends AddressRange>(
  ranges: readonly Range[],
  hasNoFile: (range: Range) => boolean,
): Pass[] {
  const passes: Pass[] = [];
  for (const range of ranges) {
    const { start, end } = range;
    const isOwn = end - start >= WORTH_A_PASS && hasNoFile(range);
    const reported = isOwn ? REPORTED & ~PageIs.FILE : REPORTED;
    const last = passes.at(-1);
    if (last !== undefined && last.reported === reported) {
      passes[passes.length - 1] = { ...last, end };
    } else passes.push({ start, end, reported });
  }
  return passes;
}

/** As many regions as one call may give back: 48 KiB. */
const REGIONS = 2048;
const POPULATED = PageIs.PRESENT | PageIs.SWAPPED;
const REPORTED = POPULATED | PageIs.FILE | PageIs.SOFT_DIRTY | PageIs.PFNZERO;

/** Scans by the ioctl; undefined where this kernel has none. */
function scanByIoctl(
  access: PagemapAccess,
  start: RemoteAddress,
  end: RemoteAddress,
  reported: number,
): PageRegion[] | undefined {
  const vector = new Uint8Array(REGIONS * pageRegion.size);
  const vec = access.addressOf(vector);
  const regions: PageRegion[] = [];
  let returned: number = reported | PageIs.GUARD;
  for (let at: bigint = start; at < end;) {
    const argument = pmScanArg.make({
      size: BigInt(pmScanArg.size),
      start: at,
      end,
      vec,
      vecLen: BigInt(REGIONS),
      categoryAnyofMask: BigInt(POPULATED),
      returnMask: BigInt(returned),
    });
    const count = access.ioctl(access.fd, PAGEMAP_SCAN, argument);
    if (count === -Errno.EINTR) continue;
    if (count === -Errno.EINVAL && returned !== reported) {
      returned = reported; // Before 6.16 there is no GUARD.
      continue;
    }
    if (count === -Errno.ENOTTY || count === -Errno.EINVAL) return undefined;
    if (count < 0) throw refused("PAGEMAP_SCAN of", count);
    for (const region of decodePageRegions(vector, count)) append(regions, region);
    // walk_end may be stale: where the kernel's own buffer of 512 regions was last full, although the walk
    // went on to the end (do_pagemap_scan()). To begin there would give the rest twice.
    const { walkEnd } = pmScanArg.read(argument);
    const last = regions.at(-1)?.end ?? 0n;
    at = walkEnd > last ? walkEnd : last;
  }
  return returned === reported ? refineSwapped(access, regions) : regions;
}

/** What part of registered memory {@link scanWritten} is to tell, and do. */
export type WrittenScan =
  /**
   * The pages that were written to, and, of memory that holds nothing, all: the kernel has a way for this that takes a
   * tenth of the time.
   */
  | "look"
  /** The populated pages that were written to; they are protected in the same moment. */
  | "protect";

/**
 * The pages of registered memory that have been written to since they were protected last (`userfaultfd.ts`). Only
 * anonymous memory may be asked about: in a mapping of a file a page that was dropped meanwhile is not told, since the
 * kernel leaves a marker there that looks like a page swapped out and not written to (PTE_MARKER_UFFD_WP).
 *
 * @returns ascending; undefined where the memory is not registered, or not any more
 */
export function scanWritten(
  access: Pick<PagemapAccess, "fd" | "ioctl" | "addressOf">,
  range: AddressRange,
  scan: WrittenScan,
): AddressRange[] | undefined {
  const isLook = scan === "look";
  return scanRegistered(access, range, {
    flags: PmScan.CHECK_WPASYNC | (isLook ? 0 : PmScan.WP_MATCHING),
    // `pagemap_scan_pmd_entry()` of fs/proc/task_mmu.c: no category of a page but this one is found out.
    categoryMask: PageIs.WRITTEN,
    categoryAnyofMask: isLook ? 0 : POPULATED,
    returnMask: PageIs.WRITTEN,
  });
}

/**
 * The populated pages of registered memory that have a mark of protection: before any was protected these are pages that
 * were moved there, whose mark may protect nothing (mremap(2) before Linux 6.14).
 *
 * @returns ascending; undefined where the memory is not registered
 */
export function scanMarked(
  access: Pick<PagemapAccess, "fd" | "ioctl" | "addressOf">,
  range: AddressRange,
): AddressRange[] | undefined {
  return scanRegistered(access, range, {
    flags: PmScan.CHECK_WPASYNC,
    categoryInverted: PageIs.WRITTEN,
    categoryMask: PageIs.WRITTEN,
    categoryAnyofMask: POPULATED,
    returnMask: PageIs.WRITTEN,
  });
}

/** The masks of a scan. */
interface ScanMasks {
  readonly flags: number;
  readonly categoryInverted?: number;
  readonly categoryMask?: number;
  readonly categoryAnyofMask: number;
  readonly returnMask: number;
}

function scanRegistered(
  access: Pick<PagemapAccess, "fd" | "ioctl" | "addressOf">,
  { start, end }: AddressRange,
  { flags, categoryInverted = 0, categoryMask = 0, categoryAnyofMask, returnMask }: ScanMasks,
): AddressRange[] | undefined {
  const vector = new Uint8Array(REGIONS * pageRegion.size);
  const vec = access.addressOf(vector);
  const found: PageRegion[] = [];
  for (let at: bigint = start; at < end;) {
    const argument = pmScanArg.make({
      size: BigInt(pmScanArg.size),
      flags: BigInt(flags),
      start: at,
      end,
      vec,
      vecLen: BigInt(REGIONS),
      categoryInverted: BigInt(categoryInverted),
      categoryMask: BigInt(categoryMask),
      categoryAnyofMask: BigInt(categoryAnyofMask),
      returnMask: BigInt(returnMask),
    });
    const count = access.ioctl(access.fd, PAGEMAP_SCAN, argument);
    if (count === -Errno.EINTR) continue;
    if (count < 0) return undefined;
    for (const region of decodePageRegions(vector, count)) append(found, region);
    const { walkEnd } = pmScanArg.read(argument);
    const reported = found.at(-1)?.end ?? 0n;
    at = walkEnd > reported ? walkEnd : reported;
  }
  return found;
}

/** How much of a range is in small pages, in bytes; undefined where this kernel cannot tell. */
export function sizeOfSmallPages(
  access: Pick<PagemapAccess, "fd" | "ioctl" | "addressOf">,
  range: AddressRange,
): bigint | undefined {
  return scanRegistered(access, range, {
    flags: 0,
    categoryInverted: PageIs.HUGE,
    categoryMask: PageIs.HUGE,
    categoryAnyofMask: POPULATED,
    returnMask: 0,
  })?.reduce((sum, { start, end }) => sum + end - start, 0n);
}

/** Reads the entries of swapped pages: a kernel whose ioctl has no GUARD may show it there (6.15). */
function refineSwapped(access: PagemapAccess, regions: readonly PageRegion[]): PageRegion[] {
  const refined: PageRegion[] = [];
  for (const region of regions) {
    if (!(region.categories & PageIs.SWAPPED)) append(refined, region);
    else for (const part of scanByReading(access, [region])) append(refined, part);
  }
  return refined;
}

/** The parts of the regions that lie in the ranges, cut at the ranges' borders. Both are ascending. */
function clip(regions: readonly PageRegion[], ranges: readonly AddressRange[]): PageRegion[] {
  const clipped: PageRegion[] = [];
  let next = 0;
  for (const range of ranges) {
    while (next < regions.length && regions[next]!.end <= range.start) next++;
    for (let i = next; i < regions.length && regions[i]!.start < range.end; i++) {
      const { start, end, categories } = regions[i]!;
      clipped.push({
        start: start > range.start ? start : range.start,
        end: end < range.end ? end : range.end,
        categories,
      });
    }
  }
  return clipped;
}

/** Bytes read at once: 32 MiB of address space, and a multiple of what the kernel works in (2 MiB). */
const CHUNK = 64 * 1024;

function scanByReading(access: PagemapAccess, ranges: readonly AddressRange[]): PageRegion[] {
  const buffer = new Uint8Array(CHUNK);
  const all: PageRegion[] = [];
  for (const { start, end } of ranges) {
    const regions: PageRegion[] = [];
    let at: bigint = start;
    while (at < end) {
      const wanted = Number((end - at) / PAGE_SIZE) * 8;
      const window = buffer.subarray(0, Math.min(wanted, CHUNK));
      const count = access.pread(access.fd, window, at / PAGE_SIZE * 8n);
      if (count < 0) throw refused("reading", count);
      // Nothing: behind the end of user space (the vsyscall page), or the process is gone.
      if (count === 0) break;
      appendPageRuns(window.subarray(0, count), at, regions, access.zeroFrame);
      at += BigInt(count) / 8n * PAGE_SIZE;
    }
    for (const region of regions) all.push(region);
  }
  return all;
}

function refused(what: string, result: number): StasisError {
  const errno = errnoName(-result);
  return new StasisError("syscall", `${what} /proc/PID/pagemap failed (${errno})`, { errno });
}
