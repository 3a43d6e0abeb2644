/**
 * What this kernel and this user can do about memory.
 *
 * @module
 */
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { addressOf, ioctl, prctl, pread, syscall } from "../../core/linux/libc_ffi.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { MADV, MAP, PR, PROT } from "../../core/linux/mman.ts";
import {
  decodePagemapEntry,
  PageIs,
  PAGEMAP_SCAN,
  pageRegion,
  pmScanArg,
} from "../../core/linux/procfs/mod.ts";
import { hasSoftDirty } from "../../core/checkpoint/soft_dirty.ts";
import { hasWriteTracking } from "../../core/linux/userfaultfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { Feature } from "../../core/plugin.ts";
import { openPath } from "./open_path.ts";

/** A page of this process, unmapped with its scope. */
function withPage<T>(use: (address: bigint) => T): T | undefined {
  const flags = MAP.PRIVATE | MAP.ANONYMOUS;
  const address = syscall(
    SYSCALLS.mmap,
    0,
    PAGE_SIZE,
    PROT.READ | PROT.WRITE,
    flags,
    -1,
    0,
  );
  if (isErrno(address)) return undefined;
  try {
    return use(address);
  } finally {
    syscall(SYSCALLS.munmap, address, PAGE_SIZE);
  }
}

/** Whether PAGEMAP_SCAN takes these categories, asked about a page of this process. */
function scans(categories: number): boolean {
  return withPage((page) => {
    using file = openPath("/proc/self/pagemap", 0);
    const vector = new Uint8Array(pageRegion.size);
    const argument = pmScanArg.make({
      size: BigInt(pmScanArg.size),
      start: page,
      end: page + PAGE_SIZE,
      vec: addressOf(vector),
      vecLen: 1n,
      categoryAnyofMask: BigInt(categories),
      returnMask: BigInt(categories),
    });
    return ioctl(file.fd, PAGEMAP_SCAN, argument) >= 0;
  }) ?? false;
}

let pagemapScan: boolean | undefined;

/** Whether this kernel has PAGEMAP_SCAN (6.7 and later): then empty memory costs no time. */
export function hasPagemapScan(): boolean {
  return pagemapScan ??= scans(PageIs.PRESENT);
}

/** Whether PAGEMAP_SCAN finds guard regions (6.16 and later). */
function hasGuardScan(): boolean {
  return scans(PageIs.PRESENT | PageIs.GUARD);
}

/** Whether `/proc/PID/pagemap` tells frames, asked about a page that is there. */
function seesFrames(): boolean {
  const page = new Uint8Array(8).fill(1);
  const entry = new Uint8Array(8);
  using file = openPath("/proc/self/pagemap", 0);
  pread(file.fd, entry, addressOf(page) / PAGE_SIZE * 8n);
  return decodePagemapEntry(new BigUint64Array(entry.buffer)[0] as bigint).frame !== 0n;
}

function canOpenMapFiles(): boolean {
  const maps = Deno.readTextFileSync("/proc/self/maps");
  const range = /^([0-9a-f]+-[0-9a-f]+) .* \/.*$/m.exec(maps)?.[1];
  if (range === undefined) return false;
  try {
    using _file = openPath(`/proc/self/map_files/${range}`, 0);
    return true;
  } catch {
    return false;
  }
}

function hasMmMap(): boolean {
  const size = new Uint8Array(4);
  return prctl(PR.SET_MM, BigInt(PR.SET_MM_MAP_SIZE), addressOf(size), 0n, 0n) === 0;
}

function hasFixedNoReplace(): boolean {
  return withPage((page) => {
    const flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE;
    const result = syscall(SYSCALLS.mmap, page, PAGE_SIZE, PROT.NONE, flags, -1, 0);
    // A kernel that does not know the flag takes the address as a hint, and maps elsewhere.
    if (!isErrno(result)) syscall(SYSCALLS.munmap, result, PAGE_SIZE);
    return isErrno(result);
  }) ?? false;
}

function hasGuards(): boolean {
  return withPage((page) =>
    syscall(SYSCALLS.madvise, page, PAGE_SIZE, MADV.GUARD_INSTALL) === 0n
  ) ?? false;
}

/** The features for `stasis check`. */
export function memoryFeatures(): Feature[] {
  return [
    {
      name: "PAGEMAP_SCAN",
      available: hasPagemapScan(),
      required: false,
      note: "finds pages quickly; without it /proc/PID/pagemap is read page by page",
    },
    {
      name: "asynchronous write protection",
      available: hasWriteTracking(),
      required: false,
      note: "tells what has changed since the last checkpoint; without it soft-dirty bits do",
    },
    {
      name: "soft-dirty bits",
      available: hasSoftDirty(),
      required: false,
      note: "tell what has changed on kernels before 6.7; without them memory is compared",
    },
    {
      name: "page frames",
      available: seesFrames(),
      required: false,
      note: "saves memory once that tasks share copy-on-write; needs root or CAP_SYS_ADMIN",
    },
    {
      name: "PR_SET_MM_MAP",
      available: hasMmMap(),
      required: true,
      note: "restores the bounds of code, data, heap, arguments and the executable",
    },
    {
      name: "MAP_FIXED_NOREPLACE",
      available: hasFixedNoReplace(),
      required: true,
      note: "restores mappings at their addresses",
    },
    {
      name: "map_files",
      available: canOpenMapFiles(),
      required: false,
      note: "saves and restores shared anonymous memory; needs root or CAP_CHECKPOINT_RESTORE",
    },
    {
      name: "MADV_GUARD_INSTALL",
      available: hasGuards(),
      required: false,
      note: hasGuardScan() || !hasGuards()
        ? "restores guard regions"
        : "guard regions exist on this kernel and can be found through /proc/PID/pagemap only",
    },
  ];
}
