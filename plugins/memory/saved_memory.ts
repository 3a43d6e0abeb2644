/**
 * What a process had in its memory, by address, whatever image it is in: pages of its own, pages in the parent, and
 * those of shared objects that it has mapped.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { ioError } from "../../base/io_error.ts";
import {
  VMA_ANON_SHARED,
  VMA_AREA_GUARD,
  VMA_AREA_MEMFD,
  VMA_AREA_SYSVIPC,
} from "../../images/flags.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import { CORE, IDS, PSTREE } from "../../images/kinds/core.ts";
import { FILES } from "../../images/kinds/files.ts";
import { MEMFD_INODE, MM } from "../../images/kinds/memory.ts";
import { SEGMENT_PAGES } from "../../images/kinds/sysv_ipc.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { cutRun, type SavedRun, uncovered } from "./saved_pages.ts";
import { objectRuns, taskRuns } from "./task_runs.ts";
import { checkPagesFiles } from "./validate.ts";

/** A mapping, and where its contents are. */
export interface SavedMapping {
  readonly vma: vma_entry;
  /** By address, ascending, within the mapping. What is not in them is zeros, or what the mapped file holds. */
  readonly runs: readonly SavedRun[];
}

/**
 * The process whose `mm-PID.img` describes the memory of a process: itself, or who shares it (CLONE_VM); undefined
 * where the images have no memory for it (a zombie).
 */
export function memoryOwner(images: ImageDirectory, pid: number): number | undefined {
  if (images.has(MM, pid)) return pid;
  const vmOf = (one: number) =>
    images.has(IDS, one) ? images.read(IDS, one).vmId : images.read(CORE, one).ids?.vmId;
  const id = vmOf(pid);
  if (id === undefined) return undefined;
  return images.readList(PSTREE, null).map((entry) => entry.pid)
    .find((one) => images.has(MM, one) && vmOf(one) === id);
}

/**
 * The mappings of a process with their contents, ascending.
 *
 * @param pid a process that has an `mm-PID.img`: {@link memoryOwner}
 * @throws {StasisError} `bad-image`: as {@link taskRuns}
 */
export function savedMappings(images: ImageDirectory, pid: number): SavedMapping[] {
  const own = taskRuns(images, pid);
  const objects = new SharedObjects(images);
  let next = 0;
  return images.read(MM, pid).vmas
    .filter(({ status }) => (status & VMA_AREA_GUARD) === 0)
    .map((vma) => {
      while (next < own.length && end(own[next] as SavedRun) <= vma.start) next++;
      const runs: SavedRun[] = [];
      for (let at = next; at < own.length; at++) {
        const run = own[at] as SavedRun;
        if (run.start >= vma.end) break;
        runs.push(within(run, vma.start, vma.end));
      }
      // What a private mapping has written lies over what its object holds.
      const below = uncovered(objects.runs(vma), runs, () => true);
      return { vma, runs: [...below, ...runs].sort((a, b) => a.start < b.start ? -1 : 1) };
    });
}

/**
 * Reads the memory of a process; what the images do not have is zeros.
 *
 * @param pid the process, or one that shares its memory
 * @throws {StasisError} as {@link savedMappings}; `io`
 */
export function readMemory(
  images: ImageDirectory,
  pid: number,
  address: bigint,
  length: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const owner = memoryOwner(images, pid);
  if (owner === undefined) return bytes;
  const last = address + BigInt(length);
  for (const { runs } of savedMappings(images, owner)) {
    for (const run of runs) {
      if (run.start >= last || end(run) <= address) continue;
      const part = within(run, address, last);
      readRun(part, bytes.subarray(Number(part.start - address)));
    }
  }
  return bytes;
}

/**
 * Reads a run.
 *
 * @param target its beginning gets the bytes
 * @throws {StasisError} `bad-image` where the pages file is none, or too short; `io`
 */
export function readRun(run: SavedRun, target: Uint8Array): void {
  // To open a fifo would wait for whoever writes to it.
  checkPagesFiles([run]);
  const { pages, offset, size } = run;
  try {
    using file = Deno.openSync(pages);
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < Number(size);) {
      const count = file.readSync(target.subarray(at, Number(size)));
      if (count === null) throw new StasisError("bad-image", `${pages} is cut short`);
      at += count;
    }
  } catch (cause) {
    throw ioError(`read ${pages}`, cause);
  }
}

/** Shared memory objects: memfds, shared anonymous memory, System V segments. */
class SharedObjects {
  readonly #images: ImageDirectory;
  /** By the number that names the pagemap. */
  readonly #runs = new Map<bigint, readonly SavedRun[]>();
  /** Such numbers of memfds, by the open file. */
  #memfds: ReadonlyMap<bigint, bigint> | undefined;

  constructor(images: ImageDirectory) {
    this.#images = images;
  }

  /** What a mapping has of its object. @throws {StasisError} `bad-image` */
  runs(vma: vma_entry): readonly SavedRun[] {
    const id = this.#idOf(vma);
    if (id === undefined) return [];
    let runs = this.#runs.get(id);
    if (runs === undefined) this.#runs.set(id, runs = objectRuns(this.#images, id));
    const { start, end: last, pgoff } = vma;
    return runs
      .filter((run) => run.start < pgoff + last - start && end(run) > pgoff)
      .map((run) => within({ ...run, start: run.start - pgoff + start }, start, last));
  }

  #idOf({ status, shmid }: vma_entry): bigint | undefined {
    if ((status & VMA_AREA_MEMFD) !== 0) {
      this.#memfds ??= this.#readMemfds();
      const id = this.#memfds.get(shmid);
      if (id !== undefined) return id;
      throw new StasisError("bad-image", `the images have no memfd for the open file ${shmid}`);
    }
    if ((status & VMA_AREA_SYSVIPC) !== 0) return SEGMENT_PAGES + shmid;
    return (status & VMA_ANON_SHARED) !== 0 ? shmid : undefined;
  }

  #readMemfds(): ReadonlyMap<bigint, bigint> {
    const images = this.#images;
    const inodes = new Map(
      images.readList(MEMFD_INODE, null).map(({ inodeId, shmid }) => [inodeId, BigInt(shmid)]),
    );
    const files = new Map<bigint, bigint>();
    for (const { id, memfd } of images.readList(FILES, null)) {
      const shmid = memfd === undefined ? undefined : inodes.get(BigInt(memfd.inodeId));
      if (shmid !== undefined) files.set(BigInt(id), shmid);
    }
    return files;
  }
}

function end({ start, size }: SavedRun): bigint {
  return start + size;
}

/** The part of a run between two addresses that it overlaps. */
function within(run: SavedRun, from: bigint, to: bigint): SavedRun {
  return cutRun(run, run.start > from ? run.start : from, end(run) < to ? end(run) : to);
}
