/**
 * The pages phase: writes the contents of all tasks and shared objects.
 *
 * @module
 */
import { hugePageSize } from "../../core/checkpoint/file_location.ts";
import { pageAlign } from "../../core/linux/address.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { CheckpointSession, FrozenTask } from "../../core/plugin.ts";
import {
  PAGEMAP,
  PAGES,
  PARENT_PAGEMAP,
  PARENT_PAGES,
  SHMEM_PAGEMAP,
} from "../../images/kinds/memory.ts";
import { PE_PRESENT } from "../../images/mod.ts";
import { findFamilies } from "./families.ts";
import { chooseHeld, copyContents, divide } from "./held_pages.ts";
import { behindEnd, copyHugePages, copyRuns, dataRuns } from "./object_pages.ts";
import type { TaskPages } from "./pages.ts";
import {
  cutPieces,
  layOutShared,
  ownPieces,
  pagemapEntries,
  type Part,
  piecesSize,
} from "./pages_files.ts";
import { pageCount, type Run, totalSize } from "./runs.ts";
import { openPath, type SharedObjects } from "./shared_objects.ts";
import { PIECE, TaskWriter, writeAll, writeError } from "./target_writer.ts";

const O_RDONLY = 0, O_WRONLY = 1;

/** A pages file of private memory, and who writes what of it. */
interface PrivateFile {
  readonly kind: typeof PAGES | typeof PARENT_PAGES;
  readonly id: number;
  /** In bytes. */
  readonly size: bigint;
  readonly parts: readonly Part<FrozenTask>[];
}

/** Writes the pages of all tasks and objects. */
export async function writePages(
  session: CheckpointSession,
  tasks: readonly FrozenTask[],
  pagesOf: (task: FrozenTask) => TaskPages,
  shared: SharedObjects,
): Promise<void> {
  const files = writePagemaps(session, tasks, pagesOf);
  let total = files.reduce((sum, { size }) => sum + size, 0n);
  const held = holdContents(files, session);
  let done = 0n;
  for (const { kind, id, size } of files) {
    const contents = held.get(kind)?.get(id);
    if (contents === undefined) continue;
    session.writer.writeRaw(kind, id, contents);
    done += size;
  }
  session.progress("memory", done, total);
  const progress = (bytes: bigint): void => session.progress("memory", done + bytes, total);
  // A task writes to one file at a time.
  for (const kind of [PARENT_PAGES, PAGES]) {
    const rest = files.filter((file) => file.kind === kind && !held.get(kind)?.has(file.id));
    done += await writeFiles(session, rest, progress);
  }
  let pagesId = tasks.length;
  for (const { shmid, path } of shared.all) {
    const size = BigInt(Deno.statSync(path).size);
    if (size === 0n) continue;
    using source = openPath(path, O_RDONLY);
    const id = ++pagesId;
    const target = session.writer.createRaw(PAGES, id);
    using file = openPath(target, O_WRONLY);
    const step = (bytes: bigint): Promise<void> => {
      done += bytes;
      session.progress("shared memory", done, total);
      return session.breathe();
    };
    const describe = (runs: readonly Run[]): void =>
      session.writer.writePagemap(SHMEM_PAGEMAP, shmid, {
        pagesId: id,
        entries: runs.map((run) => ({
          vaddr: run.start,
          nrPages: pageCount(run),
          flags: PE_PRESENT,
        })),
      });
    const pageSize = hugePageSize(path);
    if (pageSize !== undefined) {
      total += size;
      describe(await copyHugePages(source.fd, path, file.fd, target, { size, pageSize }, step));
      continue;
    }
    const runs = dataRuns(source.fd, pageAlign(size), path);
    total += totalSize(runs);
    describe(runs);
    await copyRuns(source.fd, path, file.fd, target, runs, step);
    const last = runs.at(-1);
    if (last === undefined || last.start + last.size <= size) continue;
    const written = totalSize(runs) - (pageAlign(size) - size);
    writeAll(file.fd, behindEnd(source.fd, size, path), written, target);
  }
}

/** Says which pages of each task are saved, and lays out the files that they are saved in. */
function writePagemaps(
  { writer, check }: CheckpointSession,
  tasks: readonly FrozenTask[],
  pagesOf: (task: FrozenTask) => TaskPages,
): PrivateFile[] {
  const files: PrivateFile[] = [];
  const inParent = new Map<FrozenTask, readonly Run[]>();
  const runsOf = (task: FrozenTask): Run[] => pagesOf(task).runs.map(({ run }) => run);
  for (const family of findFamilies(tasks, runsOf, check)) {
    const id = files.length + 1;
    const { entries, shared, parts, size } = layOutShared(
      family.tasks,
      family.runs,
      (task) => pagesOf(task).runs,
    );
    for (const [task, runs] of shared) {
      writer.writePagemap(PARENT_PAGEMAP, task.pid, { pagesId: id, entries });
      inParent.set(task, runs);
    }
    files.push({ kind: PARENT_PAGES, id, size, parts });
  }
  for (const [index, task] of tasks.entries()) {
    const shared = inParent.get(task) ?? [];
    const pieces = ownPieces(pagesOf(task).runs, shared);
    const id = index + 1;
    writer.writePagemap(PAGEMAP, task.pid, {
      pagesId: id,
      entries: pagemapEntries(pieces, shared),
    });
    files.push({ kind: PAGES, id, size: piecesSize(pieces), parts: [{ task, pieces }] });
  }
  return files;
}

/**
 * Has tasks write files, of which each task has a part in one only.
 *
 * @param progress is told how many bytes of them are written
 * @returns how many bytes that were
 */
async function writeFiles(
  { writer, check, breathe }: CheckpointSession,
  files: readonly PrivateFile[],
  progress: (bytes: bigint) => void,
): Promise<bigint> {
  using stack = new DisposableStack();
  const writing = files.map(({ kind, id, size, parts }) => {
    const path = writer.createRaw(kind, id);
    const file = parts.some(({ pieces }) => pieces.length > 0)
      ? stack.use(openPath(path, O_WRONLY))
      : undefined;
    // Its checksums are made up to where the last of them has got to: it must not end before.
    const sized = file === undefined ? 0n : syscall(SYSCALLS.ftruncate, file.fd, size);
    if (isErrno(sized)) throw writeError(path, Number(sized));
    const writers = parts.flatMap(({ task, pieces }) => {
      if (file === undefined || pieces.length === 0) return [];
      const { direct, indirect } = cutPieces(pieces, PIECE);
      return [stack.use(new TaskWriter(task.remote, file, path, direct, indirect, check))];
    });
    return { kind, id, writers };
  });
  const writers = writing.flatMap((file) => file.writers);
  for (const one of writers) one.start();
  let active = writers;
  while (active.length > 0) {
    for (const one of active) {
      one.finish();
      // The next chunk is under way while this process does something else.
      one.start();
    }
    progress(writers.reduce((sum, { written }) => sum + written, 0n));
    active = active.filter((one) => !one.done);
    for (const { kind, id, writers } of writing) {
      const frontiers = writers.flatMap(({ frontier }) => frontier ?? []);
      const [first] = frontiers;
      if (first === undefined) continue;
      const frontier = frontiers.reduce((least, one) => one < least ? one : least, first);
      await writer.rawWritten(kind, id, frontier);
    }
    await breathe();
  }
  return writers.reduce((sum, { written }) => sum + written, 0n);
}

/** Takes the contents of those files out of their tasks that are small enough: by kind and id. */
function holdContents(
  files: readonly PrivateFile[],
  { writer, check }: CheckpointSession,
): ReadonlyMap<PrivateFile["kind"], ReadonlyMap<number, Uint8Array>> {
  const chosen = chooseHeld(files.map(({ size }) => size));
  const held = files.filter((_, index) => chosen[index]);
  const contents = new Map<PrivateFile["kind"], Map<number, Uint8Array>>();
  if (held.length === 0) return contents;
  const room = divide(held.map(({ size }) => size));
  // Then they write it themselves.
  if (room === undefined) return contents;
  const { memory, parts: rooms } = room;
  writer.own(memory);
  for (const [index, { kind, id, parts }] of held.entries()) {
    const { buffer, address } = rooms[index] as typeof rooms[number];
    for (const { task, pieces } of parts) {
      const { direct, indirect } = cutPieces(pieces, PIECE);
      for (const { runs, offset, size } of [...direct, ...indirect]) {
        const from = Number(offset);
        copyContents(task.remote, runs, {
          buffer: buffer.subarray(from, from + Number(size)),
          address: address + offset,
          shared: kind === PARENT_PAGES,
          check,
        });
      }
    }
    let ofKind = contents.get(kind);
    if (ofKind === undefined) contents.set(kind, ofKind = new Map());
    ofKind.set(id, buffer);
  }
  return contents;
}
