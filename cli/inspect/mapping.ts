/**
 * Mappings of an image in the words of `/proc/PID/maps`.
 *
 * @module
 */
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import {
  VMA_AREA_HEAP,
  VMA_AREA_STACK,
  VMA_AREA_SYSVIPC,
  VMA_AREA_VDSO,
  VMA_AREA_VSYSCALL,
  VMA_AREA_VVAR,
  VMA_FILE_PRIVATE,
  VMA_FILE_SHARED,
} from "../../images/flags.ts";

/** One mapping. */
export interface MappingInfo {
  readonly start: string;
  readonly end: string;
  /** In bytes. */
  readonly size: bigint;
  /** As `/proc/PID/maps` has it: `rw-p`, `r-xs`. */
  readonly permissions: string;
  /** The path of a file, or a name in brackets; empty for private memory without a name. */
  readonly name: string;
  /** Where it begins in the file, in bytes. */
  readonly offset: bigint;
}

/** MAP_SHARED (include/uapi/linux/mman.h). */
const MAP_SHARED = 1;
/** MAP_ANONYMOUS (asm-generic/mman-common.h). */
const MAP_ANONYMOUS = 0x20;

const SPECIAL: readonly (readonly [number, string])[] = [
  [VMA_AREA_STACK, "[stack]"],
  [VMA_AREA_HEAP, "[heap]"],
  [VMA_AREA_VDSO, "[vdso]"],
  [VMA_AREA_VVAR, "[vvar]"],
  [VMA_AREA_VSYSCALL, "[vsyscall]"],
  [VMA_AREA_SYSVIPC, "[SysV shared memory]"],
];

/** What an address space says of its special places (`mm_entry`), as addresses. */
export interface Places {
  readonly mmStartStack: bigint;
  readonly mmStartBrk: bigint;
  readonly mmBrk: bigint;
}

/**
 * Describes a mapping.
 *
 * @param path of its file, if it is known
 */
export function describeMapping(
  vma: vma_entry,
  path: string | undefined,
  places: Places,
): MappingInfo {
  const { start, end, prot, flags, status, pgoff } = vma;
  const shared = (flags & MAP_SHARED) !== 0;
  const special = SPECIAL.find(([bit]) => (status & bit) !== 0)?.[1] ??
    (shared || (flags & MAP_ANONYMOUS) === 0 ? undefined : placeOf(vma, places));
  const isFile = (status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)) !== 0;
  const rest = shared && (flags & MAP_ANONYMOUS) !== 0 ? "[shared memory]" : "";
  return {
    start: `0x${start.toString(16)}`,
    end: `0x${end.toString(16)}`,
    size: end - start,
    permissions: [
      prot & 1 ? "r" : "-",
      prot & 2 ? "w" : "-",
      prot & 4 ? "x" : "-",
      shared ? "s" : "p",
    ].join(""),
    name: special ?? (isFile ? path ?? "[file]" : rest),
    offset: pgoff,
  };
}

/** The kernel's own way to tell (fs/proc/task_mmu.c): by where the stack began and where brk stands. */
function placeOf(vma: vma_entry, { mmStartStack, mmStartBrk, mmBrk }: Places): string | undefined {
  if (vma.start <= mmStartStack && mmStartStack < vma.end) return "[stack]";
  if (vma.start < mmBrk && mmStartBrk < vma.end) return "[heap]";
  return undefined;
}
