/**
 * The kinds of mapping, as they are brought back: each is one mmap(2), where nothing is mapped yet.
 *
 * @module
 */
import { MAP, PROT } from "../../core/linux/mman.ts";
import type { MappingPlanner, TaskPlanner } from "../../core/plugin.ts";
import type { Argument, CallResult } from "../../core/remote/program.ts";
import {
  VMA_ANON_PRIVATE,
  VMA_ANON_SHARED,
  VMA_AREA_AIORING,
  VMA_AREA_GUARD,
  VMA_AREA_MEMFD,
  VMA_AREA_SHSTK,
  VMA_AREA_SOCKET,
  VMA_AREA_SYSVIPC,
  VMA_AREA_UPROBES,
  VMA_AREA_VSYSCALL,
  VMA_EXT_PLUGIN,
  VMA_FILE_PRIVATE,
  VMA_FILE_SHARED,
} from "../../images/flags.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import { explainNoPages } from "../../core/restore/no_huge_pages.ts";
import { asksForReserved } from "./huge_pages.ts";
import { ringPlanner } from "./plan_aio.ts";
import type { ObjectPlans } from "./plan_objects.ts";
import { isVdsoPart } from "./vdso.ts";

const O_RDONLY = 0, O_RDWR = 2;
const AT_FDCWD = -100;
const NO_FD = -1;

/** Kinds that are no plain mappings, or that this plugin does not restore. */
const FOREIGN = VMA_AREA_SYSVIPC | VMA_AREA_SOCKET | VMA_AREA_AIORING | VMA_AREA_SHSTK |
  VMA_EXT_PLUGIN;

/** Not a mapping: a note about a range, or something that the kernel makes by itself. */
const NO_MAPPING = VMA_AREA_GUARD | VMA_AREA_VSYSCALL | VMA_AREA_UPROBES;

/** Whether an entry is a mapping that is made by mmap(2). */
export function isMapped(vma: vma_entry): boolean {
  return (vma.status & NO_MAPPING) === 0 && !isVdsoPart(vma);
}

/** Whether an entry is private memory that a task may inherit from another one, and change then. */
export function isShareable(vma: vma_entry): boolean {
  const isPrivate = (vma.status & (VMA_ANON_PRIVATE | VMA_FILE_PRIVATE)) !== 0 &&
    (vma.status & (VMA_AREA_MEMFD | FOREIGN)) === 0;
  return isPrivate && isMapped(vma) && (vma.flags & (MAP.DROPPABLE | MAP.HUGETLB)) === 0;
}

/** The flags of the mmap call: what mlock(2) does comes later, when the contents are there. */
export function mmapFlags(vma: vma_entry): number {
  return (vma.flags & ~(MAP.LOCKED | MAP.FIXED)) | MAP.FIXED_NOREPLACE;
}

/** Whether madvise(2) was given an advice for a mapping. */
export function hasAdvice({ madv = 0n }: vma_entry, advice: number): boolean {
  return (madv >> BigInt(advice) & 1n) === 1n;
}

/** Files that are open while a task's mappings are made: each once, as long as it is needed. */
export class MappedDescriptors {
  readonly #open = new Map<string, CallResult>();
  readonly #lastUse = new Map<string, bigint>();
  readonly #keyOf: (vma: vma_entry) => string | undefined;

  /** @param vmas all mappings of the task, in the order in which they will be made */
  constructor(vmas: readonly vma_entry[], keyOf: (vma: vma_entry) => string | undefined) {
    this.#keyOf = keyOf;
    for (const vma of vmas) {
      const key = keyOf(vma);
      if (key !== undefined) this.#lastUse.set(key, vma.start);
    }
  }

  /** The descriptor for a mapping. */
  get(vma: vma_entry, open: () => CallResult): CallResult {
    const key = this.#keyOf(vma) as string;
    let fd = this.#open.get(key);
    if (fd === undefined) this.#open.set(key, fd = open());
    return fd;
  }

  /** Adds the close call when this was the last mapping of its file. */
  release(vma: vma_entry, task: TaskPlanner): void {
    const key = this.#keyOf(vma) as string;
    const fd = this.#open.get(key);
    if (fd === undefined || this.#lastUse.get(key) !== vma.start) return;
    task.program("memory").call("close", fd);
    this.#open.delete(key);
  }
}

/** How the file of a mapping is opened: as the image says, or as the mapping itself tells. */
export function openFlags(vma: vma_entry): number {
  const writable = (vma.status & VMA_FILE_SHARED) !== 0 && (vma.prot & PROT.WRITE) !== 0;
  return vma.fdflags ?? (writable ? O_RDWR : O_RDONLY);
}

/** What tells the open files of mappings apart. */
export function descriptorKey(vma: vma_entry): string | undefined {
  const isFile = (vma.status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED)) !== 0;
  return isFile ? `${vma.shmid} ${openFlags(vma)}` : undefined;
}

function map(
  task: TaskPlanner,
  vma: vma_entry,
  flags: number,
  fd: Argument,
  writable: boolean,
): void {
  const prot = writable ? vma.prot | PROT.WRITE : vma.prot;
  const args = [vma.start, vma.end - vma.start, prot, flags, fd, vma.pgoff] as const;
  const program = task.program("memory");
  if (asksForReserved(flags)) program.explained(explainNoPages, "mmap", ...args);
  // A kernel without MAP_FIXED_NOREPLACE takes the address as a hint: then the result is another one.
  else program.expect(vma.start, "mmap", ...args);
}

/**
 * The mapping planners of this plugin.
 *
 * @param descriptors the open files of the task whose memory is planned
 */
export function mappingPlanners(
  objects: ObjectPlans,
  descriptors: (task: TaskPlanner) => MappedDescriptors,
): MappingPlanner[] {
  const has = (vma: vma_entry, bits: number): boolean => (vma.status & bits) !== 0;
  return [
    ringPlanner,
    {
      kind: "anonymous memory",
      restores: (vma) => has(vma, VMA_ANON_PRIVATE) && !has(vma, FOREIGN) && isMapped(vma),
      plan(vma, task, writable) {
        const flags = mmapFlags(vma) | MAP.ANONYMOUS;
        map(task, { ...vma, pgoff: 0n }, flags, NO_FD, writable);
      },
    },
    {
      kind: "shared anonymous memory",
      restores: (vma) => has(vma, VMA_ANON_SHARED) && !has(vma, FOREIGN),
      plan(vma, task, writable) {
        const { service } = objects.anonymous(vma.shmid);
        map(task, vma, mmapFlags(vma) & ~MAP.ANONYMOUS, service, writable);
      },
    },
    {
      kind: "a memfd",
      restores: (vma) => has(vma, VMA_AREA_MEMFD) && !has(vma, FOREIGN),
      plan(vma, task, writable) {
        const inode = task.files.get(Number(vma.shmid)).memfd?.inodeId;
        const { service } = objects.memfd(inode ?? -1);
        if (openFlags(vma) === O_RDWR) {
          return map(task, vma, mmapFlags(vma), service, writable);
        }
        const own = descriptors(task);
        const fd = own.get(vma, () => {
          const path = `/proc/self/fd/${service}`;
          return task.program("memory").call("openat", AT_FDCWD, path, openFlags(vma), 0);
        });
        map(task, vma, mmapFlags(vma), fd, writable);
        own.release(vma, task);
      },
    },
    {
      kind: "a file",
      restores: (vma) =>
        has(vma, VMA_FILE_PRIVATE | VMA_FILE_SHARED) && !has(vma, VMA_AREA_MEMFD | FOREIGN),
      plan(vma, task, writable) {
        const own = descriptors(task);
        const fd = own.get(
          vma,
          () => task.files.open(task.program("memory"), Number(vma.shmid), openFlags(vma)),
        );
        map(task, vma, mmapFlags(vma) & ~MAP.ANONYMOUS, fd, writable);
        own.release(vma, task);
      },
    },
  ];
}
