/**
 * The calls by which common memory comes to be (`plan_sharing.ts`).
 *
 * @module
 */
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { MADV, MAP, PR } from "../../core/linux/mman.ts";
import type { RestoredFiles } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { VMA_ANON_PRIVATE } from "../../images/flags.ts";
import { addReads } from "./plan_objects.ts";
import { type BirthStep, COMMON_PROT, type CommonMemory } from "./plan_sharing.ts";
import { hasAdvice, mmapFlags, openFlags } from "./planners.ts";
import type { SavedRun } from "./saved_pages.ts";

const NO_FD = -1;

/** Whether a task has huge pages switched off (PR_SET_THP_DISABLE), and with which flags. */
export interface HugePagesOff {
  readonly isOff: boolean;
  readonly flags: number;
}

/**
 * Adds what a task does before it bears a child.
 *
 * @param hugePagesOf whether a task has huge pages; tasks that share memory have, as a rule, inherited that too
 */
export function addBirthSteps(
  program: SyscallProgram,
  steps: readonly BirthStep[],
  files: RestoredFiles,
  hugePagesOf: (pid: number) => HugePagesOff,
): void {
  const made = steps.flatMap(({ kind, memory }) => kind === "make" ? [memory] : []);
  const [first] = made.flatMap(({ users }) => [...users]);
  if (first !== undefined) {
    const { isOff, flags } = hugePagesOf(first);
    program.call("prctl", PR.SET_THP_DISABLE, isOff ? 1 : 0, flags, 0, 0);
  }
  for (const { kind, memory } of steps) {
    if (kind === "make") {
      map(program, memory, files);
      continue;
    }
    const advice = kind === "hide" ? MADV.DONTFORK : MADV.DOFORK;
    program.call("madvise", memory.start, memory.end - memory.start, advice);
  }
  readPages(program, made.flatMap(({ runs }) => runs));
}

/** Adds the reads of runs from the pages files that have them. */
export function readPages(program: SyscallProgram, runs: readonly SavedRun[]): void {
  for (const [path, own] of Map.groupBy(runs, ({ pages }) => pages)) {
    // By its own task and not by the seed: thousands of tasks would inherit thousands of descriptors.
    const file = program.call("openat", AT_FDCWD, path, O.RDONLY | O.CLOEXEC, 0);
    addReads(program, file, own);
    program.call("close", file);
  }
}

function map(
  program: SyscallProgram,
  { start, end, vma }: CommonMemory,
  files: RestoredFiles,
): void {
  const size = end - start;
  const flags = mmapFlags(vma);
  if ((vma.status & VMA_ANON_PRIVATE) !== 0) {
    program.expect(start, "mmap", start, size, COMMON_PROT, flags | MAP.ANONYMOUS, NO_FD, 0);
  } else {
    const fd = files.open(program, Number(vma.shmid), openFlags(vma));
    const offset = vma.pgoff - (vma.start - start);
    program.expect(start, "mmap", start, size, COMMON_PROT, flags & ~MAP.ANONYMOUS, fd, offset);
    program.call("close", fd);
  }
  for (const advice of [MADV.HUGEPAGE, MADV.NOHUGEPAGE]) {
    if (hasAdvice(vma, advice)) program.try("madvise", start, size, advice);
  }
}
