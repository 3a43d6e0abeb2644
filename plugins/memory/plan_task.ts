/**
 * Planning the address space of a task: what it inherited goes, the vDSO and all mappings come, then their
 * contents, then what madvise(2), mlock(2) and the like say of them.
 *
 * @module
 */
import { offsetAddress, TASK_SIZE } from "../../core/linux/address.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { MADV, MAP, MCL, MLOCK_ONFAULT, MREMAP, PR, PROT } from "../../core/linux/mman.ts";
import type { Machine, MappingPlanner, TaskPlanner } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import { VMA_AREA_GUARD } from "../../images/flags.ts";
import type { mm_entry, vma_entry } from "../../images/gen/memory_pb.ts";
import type { mm_extra_entry, vma_extra } from "../../images/gen/mm_extra_pb.ts";
import { planMmFields } from "./mm_fields.ts";
import { isRingEntry, planRing, type SavedRing } from "./plan_aio.ts";
import { readPages } from "./plan_common.ts";
import { COMMON_PROT, type Inheritance } from "./plan_sharing.ts";
import { hasAdvice, isMapped } from "./planners.ts";
import { ContentFinder, type SavedRun, withoutHoles } from "./saved_pages.ts";
import { isVdsoPart, placeVdso, vdsoParts } from "./vdso.ts";

/** What is known of a task's memory. */
export interface TaskMemory {
  readonly mm: mm_entry;
  /** What it has beyond `mm`. */
  readonly extra: mm_extra_entry | undefined;
  /** All its pages. */
  readonly runs: readonly SavedRun[];
  /** Its rings of io_setup(2). */
  readonly rings: readonly SavedRing[];
  /** What of it is there already when it is built; absent for most. */
  readonly inheritance?: Inheritance;
}

/** What planning asks of its surroundings. */
export interface MemoryContext {
  readonly machine: Machine;
  readonly plannerOf: (vma: vma_entry, mm: mm_entry) => MappingPlanner;
  /** A descriptor number that no task uses, for the executable. */
  readonly exeFd: number;
  /** A service number of /dev/null, open for writing; -1 where no task has a ring. */
  readonly sink: number;
  /** The service number of an executable that is a memfd; undefined for a file. */
  readonly memfdOf: (mm: mm_entry) => number | undefined;
}

/** Advice that decides how pages are allocated: it comes before the contents. */
const EARLY_ADVICE = [MADV.HUGEPAGE, MADV.NOHUGEPAGE];
/** Advice that says how memory behaves later, which must be there. */
const LATE_ADVICE = [
  MADV.SEQUENTIAL,
  MADV.RANDOM,
  MADV.DONTFORK,
  MADV.DONTDUMP,
  MADV.WIPEONFORK,
];

/** Plans the memory of a task. */
export function planMemory(task: TaskPlanner, memory: TaskMemory, context: MemoryContext): void {
  const { mm, inheritance } = memory;
  const program = task.program("memory");
  const mapped = mm.vmas.filter(isMapped);
  const isThere = (vma: vma_entry): boolean => inheritance?.vmas.has(vma.start) ?? false;
  planEmpty(program, task, context.machine, mapped.filter(isThere));
  planVdso(program, task, mm, context.machine);
  openExecutable(program, task, mm, context);
  // Inherited from the tool: set in any case. It comes first, so that the contents get pages of its kind.
  const thpFlags = memory.extra?.thpDisableFlags ?? 0;
  program.call("prctl", PR.SET_THP_DISABLE, mm.thpDisabled === true ? 1 : 0, thpFlags, 0, 0);

  const runs = inheritance?.runs ?? ownContents(memory);
  const contents = new ContentFinder(runs);
  const extras = new Map(memory.extra?.vmas.map((extra) => [extra.start, extra]));
  const protections = new Map<vma_entry, number>();
  for (const vma of mapped) {
    if (isThere(vma)) {
      protections.set(vma, COMMON_PROT);
      continue;
    }
    const writable = contents.has(vma.start, vma.end);
    if (writable) protections.set(vma, vma.prot | PROT.WRITE);
    context.plannerOf(vma, mm).plan(vma, task, writable);
    for (const advice of EARLY_ADVICE) advise(program, vma, advice);
  }
  planInherited(program, mapped, inheritance);
  planMmFields(program, mm, context.exeFd);
  program.call("close", context.exeFd);
  if (runs.length > 0) readPages(task.program("contents"), runs);
  for (const ring of memory.rings) planRing(task.program("contents"), ring, context.sink);
  planProperties(task, memory, extras, mapped, protections);
}

/** The pages of a task that are read from the images. */
export function ownContents({ mm, runs }: Pick<TaskMemory, "mm" | "runs">): SavedRun[] {
  return withoutHoles(runs, mm.vmas.filter(isLeftAlone));
}

/**
 * Whether the image's pages of a mapping stay where they are: those of the vDSO are the kernel's, rings of io_setup(2)
 * are made anew, and the states of random number generators in droppable memory must not come twice.
 */
function isLeftAlone(vma: vma_entry): boolean {
  return isVdsoPart(vma) || isRingEntry(vma) || (vma.flags & MAP.DROPPABLE) !== 0;
}

/** Unmaps everything but the scratch memory, the parked vDSO and what the task has of its own already. */
function planEmpty(
  program: SyscallProgram,
  task: TaskPlanner,
  machine: Machine,
  own: readonly vma_entry[],
): void {
  const last = machine.vdso.at(-1);
  const vdsoEnd = offsetAddress(task.parkedVdso, last === undefined ? 0n : last.offset + last.size);
  const kept: { readonly start: bigint; readonly end: bigint }[] = [
    ...own,
    { start: task.scratch.start, end: task.scratch.end },
    { start: task.parkedVdso, end: vdsoEnd },
  ];
  kept.sort((a, b) => a.start < b.start ? -1 : 1);
  let at = 0n;
  for (const { start, end } of kept) {
    if (start > at) program.call("munmap", at, start - at);
    at = end;
  }
  program.call("munmap", at, TASK_SIZE - at);
}

/** Takes the pages out of inherited memory that the task does not have, and has its children inherit it again. */
function planInherited(
  program: SyscallProgram,
  mapped: readonly vma_entry[],
  inheritance: Inheritance | undefined,
): void {
  if (inheritance === undefined) return;
  const { vmas, hidden, stale } = inheritance;
  for (const { start, end } of mapped) {
    const memory = vmas.get(start);
    if (memory === undefined || !hidden.has(memory)) continue;
    program.call("madvise", start, end - start, MADV.DOFORK);
  }
  for (const { start, size } of stale) program.call("madvise", start, size, MADV.DONTNEED);
}

/** Moves the vDSO and its data to where they were. */
function planVdso(
  program: SyscallProgram,
  task: TaskPlanner,
  mm: mm_entry,
  machine: Machine,
): void {
  const flags = MREMAP.MAYMOVE | MREMAP.FIXED;
  // The load hook has seen that all have a place. What the program had unmapped goes with the scratch memory.
  for (const { offset, size, to, prot } of placeVdso(vdsoParts(mm.vmas), machine.vdso) ?? []) {
    const from = offsetAddress(task.parkedVdso, offset);
    if (from !== to) program.expect(to, "mremap", from, size, size, flags, to);
    if (prot !== undefined) program.call("mprotect", to, size, prot);
  }
}

/** Opens the executable under the number by which PR_SET_MM_MAP will name it, while few others are open. */
function openExecutable(
  program: SyscallProgram,
  task: TaskPlanner,
  mm: mm_entry,
  { exeFd, memfdOf }: MemoryContext,
): void {
  const memfd = memfdOf(mm);
  const opened = memfd === undefined
    ? task.files.open(program, mm.exeFileId, O.RDONLY)
    : program.call("openat", AT_FDCWD, `/proc/self/fd/${memfd}`, O.RDONLY, 0);
  program.call("dup3", opened, exeFd, O.CLOEXEC);
  program.call("close", opened);
}

/**
 * Protections, advice, names, guards, locks and seals, in this order: no guard can be installed in memory that is
 * locked, and nothing be changed that is sealed.
 *
 * @param protections what mappings have until then, where it is not their own
 */
function planProperties(
  task: TaskPlanner,
  { mm, extra: rest }: TaskMemory,
  extras: ReadonlyMap<bigint, vma_extra>,
  mapped: readonly vma_entry[],
  protections: ReadonlyMap<vma_entry, number>,
): void {
  const program = task.program("contents");
  for (const vma of mapped) {
    const { start, end, prot } = vma;
    const size = end - start;
    if ((protections.get(vma) ?? prot) !== prot) program.call("mprotect", start, size, prot);
    for (const advice of LATE_ADVICE) advise(program, vma, advice);
    advise(program, vma, MADV.MERGEABLE);
    const extra = extras.get(start);
    if (extra?.name !== undefined) {
      // A label: a kernel without CONFIG_ANON_VMA_NAME restores everything else.
      program.try("prctl", PR.SET_VMA, PR.SET_VMA_ANON_NAME, start, size, extra.name);
    }
  }
  for (const { status, start, end } of mm.vmas) {
    if ((status & VMA_AREA_GUARD) === 0) continue;
    program.call("madvise", start, end - start, MADV.GUARD_INSTALL);
  }
  for (const vma of mapped) {
    if ((vma.flags & MAP.LOCKED) !== 0) lock(program, vma, extras.get(vma.start)?.lockOnFault);
  }
  for (const { start, end } of mapped) {
    if (extras.get(start)?.sealed === true) program.call("mseal", start, end - start, 0);
  }
  if (rest?.merge === true) planMerging(program, mapped);
  if (rest?.lockFuture === true) {
    program.call("mlockall", MCL.FUTURE | (rest.lockFutureOnFault === true ? MCL.ONFAULT : 0));
  }
  // Nothing writable may become executable any more: all that does has been mapped.
  if (rest?.mdwe) program.call("prctl", PR.SET_MDWE, rest.mdwe, 0, 0, 0);
}

/** Has all memory merged that is mapped from now on. What there is already is as it was: a stack may have been left out. */
function planMerging(program: SyscallProgram, mapped: readonly vma_entry[]): void {
  program.call("prctl", PR.SET_MEMORY_MERGE, 1, 0, 0, 0);
  for (const vma of mapped) {
    if (hasAdvice(vma, MADV.MERGEABLE)) continue;
    program.try("madvise", vma.start, vma.end - vma.start, MADV.UNMERGEABLE);
  }
}

/**
 * Locks a mapping. All of its pages are brought in only as far as they can be: not where it cannot be read, nor
 * behind a guard or the end of its file. It is locked all the same, as the first call makes sure.
 */
function lock(program: SyscallProgram, { start, end }: vma_entry, onFault = false): void {
  program.call("mlock2", start, end - start, MLOCK_ONFAULT);
  if (!onFault) program.try("mlock", start, end - start);
}

function advise(program: SyscallProgram, vma: vma_entry, advice: number): void {
  if (!hasAdvice(vma, advice)) return;
  // Huge pages and merging are built into some kernels only, and change no behaviour.
  const hint = advice === MADV.HUGEPAGE || advice === MADV.NOHUGEPAGE || advice === MADV.MERGEABLE;
  program[hint ? "try" : "call"]("madvise", vma.start, vma.end - vma.start, advice);
}
