/**
 * Reserved huge pages (hugetlb): MAP_HUGETLB, memfds with MFD_HUGETLB, System V shared memory with SHM_HUGETLB, files of
 * hugetlbfs. They lie on file systems of the kernel's, one for each size of page (`hugePageSize()` of `core/checkpoint/file_location.ts`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { hugePageSize } from "../../core/checkpoint/file_location.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { MAP } from "../../core/linux/mman.ts";
import type { Vma } from "../../core/linux/procfs/mod.ts";
import type { FrozenTask } from "../../core/plugin.ts";
import { mapFilesPath } from "./file_check.ts";

/**
 * MAP_HUGE_SHIFT of `include/uapi/linux/mman.h`: where flags of mmap(2), memfd_create(2) and shmget(2) have the binary
 * logarithm.
 */
const SHIFT = 26, MASK = 0x3f;

/** Whether a mapping is of such pages. */
export function isReserved({ flags }: Pick<Vma, "flags">): boolean {
  return flags.has("ht");
}

/**
 * The size of the pages of a mapping, in bytes; undefined of other memory.
 *
 * @throws {StasisError} `io` where nothing tells it: without it a restore would take pages of the usual size
 */
export function reservedPageSize(
  vma: Vma,
  { proc: { liveTid } }: FrozenTask,
): number | undefined {
  if (!isReserved(vma)) return undefined;
  const size = hugePageSize(mapFilesPath(liveTid, vma));
  if (size !== undefined) return size;
  throw new StasisError(
    "io",
    `nothing tells the size of the reserved huge pages of the mapping ${vma.start.toString(16)}-${
      vma.end.toString(16)
    }`,
    { pid: liveTid },
  );
}

/** How flags of mmap(2) and the like say a size. @param size of a page, in bytes */
export function sizeFlag(size: number): number {
  return Math.log2(size) << SHIFT;
}

/**
 * The size of a page that such flags say, in bytes.
 *
 * @param usual what is meant by flags without a size
 */
export function pageSizeOf(flags: number, usual: () => bigint = usualPageSize): bigint {
  const logarithm = flags >>> SHIFT & MASK;
  return logarithm === 0 ? usual() : 1n << BigInt(logarithm);
}

/** The size of a page on this machine that flags without a size mean (`default_hugepagesz=` of the kernel), in bytes. */
function usualPageSize(): bigint {
  return parseUsualPageSize(Deno.readTextFileSync("/proc/meminfo"));
}

/**
 * The same.
 *
 * @param text of `/proc/meminfo`
 * @throws {StasisError} `conflict` where there are no such pages
 */
export function parseUsualPageSize(text: string): bigint {
  const kilobytes = /^Hugepagesize:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kilobytes !== undefined) return BigInt(kilobytes) << 10n;
  throw new StasisError("conflict", "this kernel has no reserved huge pages (CONFIG_HUGETLBFS)");
}

/** Whether the flags of an entry ask for reserved pages. */
export function asksForReserved(flags: number): boolean {
  return (flags & MAP.HUGETLB) !== 0;
}

/** In what pages a mapping is made, by the flags of its entry, in bytes. */
export function unitOf({ flags }: { readonly flags: number }): bigint {
  return asksForReserved(flags) ? pageSizeOf(flags) : PAGE_SIZE;
}

/** Rounds up to whole pages of a size. */
export function roundUp(value: bigint, page: bigint): bigint {
  return (value + page - 1n) / page * page;
}
