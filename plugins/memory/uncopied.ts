/**
 * Memory that fork(2) does not copy, and that a shadow (`core/remote/shadow.ts`) therefore does not hold still. Pure.
 *
 * @module
 */
import { type MappingKind, mappingKind, type Vma } from "../../core/linux/procfs/mod.ts";
import { appendRun, type Run } from "./runs.ts";

/** The flag of MADV_DONTFORK, as smaps has it. */
const DONTFORK = "dc";
/**
 * Flags of mappings that a shadow has and must not be asked for: MADV_WIPEONFORK; devices; and reserved huge pages. Of
 * these a copy is made when the task writes to one, for which there may be no page: then the kernel takes it away from
 * the shadow, or kills the task (`hugetlb_wp()` of `mm/hugetlb.c`). So a shadow must give them up.
 */
const GIVEN_UP = ["wf", "io", "pf", "ht"] as const;
/** The kernel's own, which each process has. */
const KERNELS: ReadonlySet<MappingKind> = new Set(["vdso", "vvar", "vvar_vclock", "vsyscall"]);

/** The ranges of an address space that are not copied, ascending. @param vmas ascending */
export function uncopied(vmas: readonly Vma[]): Run[] {
  return rangesOf(vmas.filter((vma) => vma.flags.has(DONTFORK) || isGivenUp(vma)));
}

/**
 * Those of them that a shadow has, and is to give up. Where it has nothing its scratch memory may come to lie.
 *
 * @param vmas ascending
 */
export function givenUp(vmas: readonly Vma[]): Run[] {
  return rangesOf(vmas.filter((vma) => !vma.flags.has(DONTFORK) && isGivenUp(vma)));
}

function isGivenUp(vma: Vma): boolean {
  return vma.shared || GIVEN_UP.some((flag) => vma.flags.has(flag));
}

function rangesOf(vmas: readonly Vma[]): Run[] {
  const runs: Run[] = [];
  for (const vma of vmas) {
    if (!KERNELS.has(mappingKind(vma))) appendRun(runs, vma.start, vma.end - vma.start);
  }
  return runs;
}
