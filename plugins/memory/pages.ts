/**
 * Which pages of a task hold something.
 *
 * @module
 */
import { isAnonymous } from "../../core/checkpoint/trackable.ts";
import { OpenPagemap } from "../../core/linux/open_pagemap.ts";
import {
  mappingKind,
  type PageRegion,
  PROT_READ,
  scanPages,
  type Vma,
} from "../../core/linux/procfs/mod.ts";
import type { FrozenTask } from "../../core/plugin.ts";
import { isRing } from "./aio_ring.ts";
import { hasPagemapScan } from "./features.ts";
import { isReserved } from "./huge_pages.ts";
import type { ReadableRun } from "./pages_files.ts";
import { appendRun, hasContents, isGuard, type Run } from "./runs.ts";

/** What of a task's memory is saved. */
export interface TaskPages {
  /** Ascending; no run crosses from what the task may read into what it may not. */
  readonly runs: readonly ReadableRun[];
  /** Ranges with guards. */
  readonly guards: readonly Run[];
}

/** Finds the pages of a task that hold something. */
export function findPages(task: FrozenTask): TaskPages {
  const scansFast = hasPagemapScan();
  const scanned = task.proc.vmas.filter((vma) => {
    const kind = mappingKind(vma);
    if (kind === "vsyscall" || kind === "vvar" || kind === "vvar_vclock") return false;
    if (kind === "vdso" || kind === "kernel") return false;
    // Without PAGEMAP_SCAN a scan costs time for each page of an empty mapping too.
    if (scansFast) return true;
    // What smaps counts of reserved huge pages stands elsewhere.
    return !vma.shared && (vma.rss > 0 || vma.swap > 0 || isReserved(vma));
  });
  using pagemap = new OpenPagemap(task.proc.liveTid);
  const regions = scanPages(pagemap, scanned, isAnonymous);
  return savedPages(task.proc.vmas, regions);
}

/**
 * What of the populated pages is saved.
 *
 * @param vmas ascending
 * @param regions ascending; none crosses a border between two mappings
 */
export function savedPages(vmas: readonly Vma[], regions: readonly PageRegion[]): TaskPages {
  const runs: { run: Run; readable: boolean }[] = [];
  const guards: Run[] = [];
  const save = (start: bigint, size: bigint, readable: boolean): void => {
    const last = runs.at(-1);
    if (last?.readable === readable && last.run.start + last.run.size === start) {
      last.run = { start: last.run.start, size: last.run.size + size };
    } else runs.push({ run: { start, size }, readable });
  };
  let next = 0;
  for (const vma of vmas) {
    const readable = (vma.prot & PROT_READ) !== 0;
    // The vDSO is saved whole: at restore it tells whether the kernel is another one.
    // So is a ring of io_setup(2), which CRIU looks for there.
    const isWhole = mappingKind(vma) === "vdso" || isRing(vma);
    if (isWhole) save(vma.start, vma.end - vma.start, readable);
    // Droppable memory holds states of random number generators: it must not come twice.
    const isLeftOut = isWhole || vma.shared || vma.flags.has("dp");
    for (; next < regions.length; next++) {
      const { start, end, categories } = regions[next] as PageRegion;
      if (start >= vma.end) break;
      if (isGuard(categories)) appendRun(guards, start, end - start);
      else if (!isLeftOut && hasContents(categories)) save(start, end - start, readable);
    }
  }
  return { runs, guards };
}
