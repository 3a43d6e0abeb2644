/**
 * The pages phase: which pages each task has, and writing them.
 *
 * @module
 */
import { pageAlign } from "../../core/linux/address.ts";
import { addressOf, ioctl, pread } from "../../core/linux/libc_ffi.ts";
import {
  mappingKind,
  type PageRegion,
  PROT_READ,
  scanPages,
  type Vma,
} from "../../core/linux/procfs/mod.ts";
import type { CheckpointSession, FrozenTask } from "../../core/plugin.ts";
import { PAGEMAP, PAGES, SHMEM_PAGEMAP } from "../../images/kinds/memory.ts";
import { PE_PRESENT } from "../../images/mod.ts";
import { hasPagemapScan } from "./features.ts";
import { chooseHeld, copyContents, divide } from "./held_pages.ts";
import { behindEnd, copyRuns, dataRuns } from "./object_pages.ts";
import {
  appendRun,
  cutTransfers,
  hasContents,
  isGuard,
  pageCount,
  type Run,
  totalSize,
  type Transfer,
} from "./runs.ts";
import { openPath, type SharedObjects } from "./shared_objects.ts";
import { PIECE, TaskWriter, writeAll } from "./target_writer.ts";

const O_RDONLY = 0, O_WRONLY = 1;

/** What of a task's memory is saved. */
export interface TaskPages {
  /** Ascending; no run crosses from what the task may read into what it may not. */
  readonly runs: readonly { readonly run: Run; readonly readable: boolean }[];
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
    return !vma.shared && (vma.rss > 0 || vma.swap > 0);
  });
  using file = openPath(`/proc/${task.pid}/pagemap`, O_RDONLY);
  const regions = scanPages({ fd: file.fd, ioctl, pread, addressOf }, scanned);
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
    const isVdso = mappingKind(vma) === "vdso";
    if (isVdso) save(vma.start, vma.end - vma.start, readable);
    // Droppable memory holds states of random number generators: it must not come twice.
    const isLeftOut = isVdso || vma.shared || vma.flags.has("dp");
    for (; next < regions.length; next++) {
      const { start, end, categories } = regions[next] as PageRegion;
      if (start >= vma.end) break;
      if (isGuard(categories)) appendRun(guards, start, end - start);
      else if (!isLeftOut && hasContents(categories)) save(start, end - start, readable);
    }
  }
  return { runs, guards };
}

/** Writes the pages of all tasks and objects. */
export async function writePages(
  session: CheckpointSession,
  tasks: readonly FrozenTask[],
  pagesOf: (task: FrozenTask) => TaskPages,
  shared: SharedObjects,
): Promise<void> {
  let pagesId = 0;
  let done = 0n;
  let total = 0n;
  {
    using stack = new DisposableStack();
    const writers: TaskWriter[] = [];
    const ids = new Map<TaskWriter, number>();
    const sizes = tasks.map((task) => totalSize(pagesOf(task).runs.map(({ run }) => run)));
    const held = holdContents(tasks, sizes, pagesOf, session);
    for (const [index, task] of tasks.entries()) {
      const { runs } = pagesOf(task);
      const size = sizes[index] as bigint;
      const id = ++pagesId;
      session.writer.writePagemap(PAGEMAP, task.pid, {
        pagesId: id,
        entries: runs.map(({ run }) => ({
          vaddr: run.start,
          nrPages: pageCount(run),
          flags: PE_PRESENT,
        })),
      });
      total += size;
      const contents = held.get(task);
      if (contents !== undefined) {
        session.writer.writeRaw(PAGES, id, contents);
        done += size;
        continue;
      }
      const path = session.writer.createRaw(PAGES, id);
      if (runs.length === 0) continue;
      const { direct, indirect } = cutByReadability(runs);
      const file = stack.use(openPath(path, O_WRONLY));
      const writer = new TaskWriter(task.remote, file, path, direct, indirect, session.check);
      writers.push(stack.use(writer));
      ids.set(writer, id);
    }
    session.progress("memory", done, total);
    const copied = done;
    for (const writer of writers) writer.start();
    for (let active = writers; active.length > 0;) {
      for (const writer of active) {
        writer.finish();
        // The next chunk is under way while this process does something else.
        writer.start();
      }
      done = writers.reduce((sum, { written }) => sum + written, copied);
      session.progress("memory", done, total);
      active = active.filter((writer) => !writer.done);
      for (const writer of active) {
        const { frontier } = writer;
        if (frontier === undefined) continue;
        await session.writer.rawWritten(PAGES, ids.get(writer) as number, frontier);
      }
      await session.breathe();
    }
  }
  for (const { shmid, path } of shared.all) {
    const size = BigInt(Deno.statSync(path).size);
    if (size === 0n) continue;
    using source = openPath(path, O_RDONLY);
    const runs = dataRuns(source.fd, pageAlign(size), path);
    total += totalSize(runs);
    const id = ++pagesId;
    session.writer.writePagemap(SHMEM_PAGEMAP, shmid, {
      pagesId: id,
      entries: runs.map((run) => ({
        vaddr: run.start,
        nrPages: pageCount(run),
        flags: PE_PRESENT,
      })),
    });
    const target = session.writer.createRaw(PAGES, id);
    using file = openPath(target, O_WRONLY);
    await copyRuns(source.fd, path, file.fd, target, runs, (bytes) => {
      done += bytes;
      session.progress("shared memory", done, total);
      return session.breathe();
    });
    const last = runs.at(-1);
    if (last === undefined || last.start + last.size <= size) continue;
    const written = totalSize(runs) - (pageAlign(size) - size);
    writeAll(file.fd, behindEnd(source.fd, size, path), written, target);
  }
}

/** Takes the contents out of those tasks whose memory is small enough. */
function holdContents(
  tasks: readonly FrozenTask[],
  sizes: readonly bigint[],
  pagesOf: (task: FrozenTask) => TaskPages,
  { writer, check }: CheckpointSession,
): ReadonlyMap<FrozenTask, Uint8Array> {
  const chosen = chooseHeld(sizes);
  const held = tasks.filter((_, index) => chosen[index]);
  const contents = new Map<FrozenTask, Uint8Array>();
  if (held.length === 0) return contents;
  const room = divide(sizes.filter((_, index) => chosen[index]));
  // Then they write it themselves.
  if (room === undefined) return contents;
  const { memory, parts } = room;
  writer.own(memory);
  for (const [index, task] of held.entries()) {
    const part = parts[index] as typeof parts[number];
    copyContents(task.remote, pagesOf(task).runs.map(({ run }) => run), { ...part, check });
    contents.set(task, part.buffer);
  }
  return contents;
}

/** Cuts a task's runs into what it can write itself and what it cannot. */
export function cutByReadability(
  runs: TaskPages["runs"],
): { direct: Transfer[]; indirect: Transfer[] } {
  const direct: Transfer[] = [];
  const indirect: Transfer[] = [];
  let offset = 0n;
  for (let from = 0; from < runs.length;) {
    const readable = runs[from]?.readable;
    let to = from;
    while (to < runs.length && runs[to]?.readable === readable) to++;
    const group = runs.slice(from, to).map(({ run }) => run);
    const transfers = cutTransfers(group, offset, PIECE);
    for (const transfer of transfers) (readable ? direct : indirect).push(transfer);
    offset += totalSize(group);
    from = to;
  }
  return { direct, indirect };
}
