/**
 * The pages phase: writes the contents of all tasks and shared objects.
 *
 * @module
 */
import { hugePageSize } from "../../core/checkpoint/file_location.ts";
import { pageAlign } from "../../core/linux/address.ts";
import { EarlyWriteback } from "../../core/linux/early_writeback.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import type { CheckpointSession, FrozenTask, FrozenTree } from "../../core/plugin.ts";
import type { RemoteTask } from "../../core/remote/remote_task.ts";
import {
  PAGEMAP,
  PAGES,
  PARENT_PAGEMAP,
  PARENT_PAGES,
  PARENT_SHMEM_PAGEMAP,
  SHMEM_PAGEMAP,
} from "../../images/kinds/memory.ts";
import type { Pagemap } from "../../images/mod.ts";
import type { AheadCopies } from "./ahead_copies.ts";
import { findFamilies } from "./families.ts";
import { chooseHeld, copyContents, divide, lotsOf } from "./held_pages.ts";
import { behindEnd, copyHugePages, copyRuns, dataRuns } from "./object_pages.ts";
import type { TaskPages } from "./pages.ts";
import { divideFamily, mergeRuns } from "./parent_layout.ts";
import { ParentPages } from "./parent_pages.ts";
import {
  cutPieces,
  layOutShared,
  mergeEntries,
  ownPieces,
  pagemapEntries,
  type Part,
  partPieces,
  type Piece,
  piecesSize,
} from "./pages_files.ts";
import { joinRuns, type Run, totalSize } from "./runs.ts";
import type { SavedRun } from "./saved_pages.ts";
import { openPath } from "./open_path.ts";
import type { SharedObjects } from "./shared_objects.ts";
import { givenUp, uncopied } from "./uncopied.ts";
import { PIECE, TaskWriter, writeAll, writeError } from "./target_writer.ts";

const O_RDONLY = 0, O_WRONLY = 1;
/** From how many bytes on the disk is to begin with a file before all of it is there. */
const WRITTEN_EARLY = 16n << 20n;

/** A pages file of private memory, and who writes what of it. */
interface PrivateFile {
  readonly kind: typeof PAGES | typeof PARENT_PAGES;
  readonly id: number;
  /** In bytes. */
  readonly size: bigint;
  readonly parts: readonly Part<FrozenTask>[];
}

/** A pages file that is being written. */
interface OpenFile extends PrivateFile {
  readonly path: string;
  /** Open for writing. */
  readonly file: OwnedDescriptor;
}

/** What is written to a pages file in one go, and by whom. */
interface Writing extends Pick<OpenFile, "kind" | "id" | "path" | "file"> {
  readonly parts: readonly { readonly remote: RemoteTask; readonly pieces: readonly Piece[] }[];
  /** Whether it is shadows that write. */
  readonly byShadows: boolean;
  /** Whether more is written to it later: nothing is known then of how far it is whole. */
  readonly isMore: boolean;
}

/** Writes what shadows hold, when the tree runs again. */
export type WriteLater = () => Promise<void>;

/**
 * Writes the pages of all tasks and objects.
 *
 * @param tasks those that own their memory
 * @param copies what was copied while the tree ran
 * @returns what writes the rest of it; undefined if all is written
 */
export async function writePages(
  session: CheckpointSession,
  tree: FrozenTree,
  tasks: readonly FrozenTask[],
  pagesOf: (task: FrozenTask) => TaskPages,
  shared: SharedObjects,
  copies: AheadCopies,
): Promise<WriteLater | undefined> {
  track(session, tasks);
  using before = session.parent && new ParentPages(session, session.parent);
  const files = writePagemaps(session, tasks, pagesOf, before, copies);
  let total = files.reduce((sum, { size }) => sum + size, 0n);
  const held = holdContents(files, session);
  let done = 0n;
  for (const { size } of held) done += size;
  session.progress("memory", done, total);
  const progress = (bytes: bigint): void => session.progress("memory", done + bytes, total);
  const rest = files.filter((file) => !held.has(file));
  const shadows = makeShadows(rest, session, tree);
  using stack = new DisposableStack();
  const later: Writing[] = [];
  // A task writes to one file at a time.
  for (const kind of [PARENT_PAGES, PAGES]) {
    const parted = rest.filter((file) => file.kind === kind).flatMap((file) => {
      const open = openFile(file, session, stack);
      return open === undefined ? [] : [partWriting(open, shadows)];
    });
    done += await writeFiles(session, parted.map(({ now }) => now), progress);
    for (const { later: writing } of parted) if (writing.parts.length > 0) later.push(writing);
  }
  const innerId = files.find(({ kind }) => kind === PARENT_PAGES)?.id;
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
    const describe = (runs: readonly Run[], left: readonly Run[] = []): void => {
      const entries = pagemapEntries(runs, left);
      session.writer.writePagemap(SHMEM_PAGEMAP, shmid, { pagesId: id, entries });
      if (left.length === 0 || innerId === undefined) return;
      const further = { pagesId: innerId, entries: pagemapEntries([], left) };
      session.writer.writePagemap(PARENT_SHMEM_PAGEMAP, shmid, further);
    };
    const pageSize = hugePageSize(path);
    if (pageSize !== undefined) {
      total += size;
      describe(await copyHugePages(source.fd, path, file.fd, target, { size, pageSize }, step));
      continue;
    }
    const all = dataRuns(source.fd, pageAlign(size), path);
    const left = before?.ofObject(shmid, source.fd, size, all) ?? [];
    const runs = ownPieces(all.map((run) => ({ run, readable: true })), left).map(({ run }) => run);
    total += totalSize(runs);
    describe(runs, left);
    await copyRuns(source.fd, path, file.fd, target, runs, step);
    const last = runs.at(-1);
    if (last === undefined || last.start + last.size <= size) continue;
    const written = totalSize(runs) - (pageAlign(size) - size);
    writeAll(file.fd, behindEnd(source.fd, size, path), written, target);
  }
  if (later.length === 0) return undefined;
  const opened = stack.move();
  return async () => {
    using _ = opened;
    for (const kind of [PARENT_PAGES, PAGES]) {
      const files = later.filter((file) => file.kind === kind);
      done += await writeFiles(
        session,
        files,
        (bytes) => session.progress("memory", done + bytes, total),
      );
    }
  };
}

/** Has what is known of changes brought up to now, and begun anew. */
function track(
  { tracking, options, detail }: CheckpointSession,
  tasks: readonly FrozenTask[],
): void {
  if (tracking === undefined || options.compare === true) return;
  for (const task of tasks) {
    const why = tracking.look(task, options.leaveRunning === true);
    if (why !== undefined) detail(`changes are found by comparing: ${why}`);
  }
}

/** Says which pages of each task are saved, and lays out the files that they are saved in. */
function writePagemaps(
  { writer, check }: CheckpointSession,
  tasks: readonly FrozenTask[],
  pagesOf: (task: FrozenTask) => TaskPages,
  before: ParentPages | undefined,
  copies: AheadCopies,
): PrivateFile[] {
  const files: PrivateFile[] = [];
  const runsOf = (task: FrozenTask): Run[] => pagesOf(task).runs.map(({ run }) => run);
  /** What is left to the checkpoint before. */
  const left = new Map<FrozenTask, readonly SavedRun[]>();
  if (before !== undefined) {
    for (const task of tasks) left.set(task, before.ofTask(task, runsOf(task)));
  }
  /** What is in the inner parent, and how its pagemap says so. */
  const inner = new Map<FrozenTask, { readonly runs: readonly Run[]; readonly pagemap: Pagemap }>();
  for (const [task, { copy, runs }] of copies.leftOf(tasks, runsOf)) {
    const entries = pagemapEntries(copy.layout, []);
    inner.set(task, { runs, pagemap: { pagesId: copy.pagesId, entries } });
  }
  for (const family of findFamilies(tasks, runsOf, check)) {
    const divided = divideFamily(family.runs, family.tasks.map((task) => left.get(task) ?? []));
    if (divided.written.length === 0) continue;
    for (const [index, task] of family.tasks.entries()) left.set(task, divided.left[index] ?? []);
    const pagesId = copies.count + files.length + 1;
    const { entries, shared, parts, size } = layOutShared(
      family.tasks,
      divided.written,
      (task) => pagesOf(task).runs,
    );
    for (const [task, runs] of shared) inner.set(task, { runs, pagemap: { pagesId, entries } });
    files.push({ kind: PARENT_PAGES, id: pagesId, size, parts });
  }
  const [first] = files;
  for (const [index, task] of tasks.entries()) {
    const further = joinRuns(left.get(task) ?? []);
    const { runs = [], pagemap } = inner.get(task) ?? {};
    const elsewhere = mergeRuns(runs, further);
    // What is in the checkpoint before is in the parent of the inner one.
    const leading = pagemap ?? (first && { pagesId: first.id, entries: [] });
    if (leading !== undefined && elsewhere.length > 0) {
      const { pagesId, entries } = leading;
      const all = mergeEntries(entries, pagemapEntries([], further));
      writer.writePagemap(PARENT_PAGEMAP, task.pid, { pagesId, entries: all });
    }
    const pieces = ownPieces(pagesOf(task).runs, elsewhere);
    const id = index + 1;
    const entries = pagemapEntries(pieces.map(({ run }) => run), elsewhere);
    writer.writePagemap(PAGEMAP, task.pid, { pagesId: id, entries });
    files.push({ kind: PAGES, id, size: piecesSize(pieces), parts: [{ task, pieces }] });
    if (further.length > 0) before?.link();
  }
  return files;
}

/** Has shadows hold still what the kernel copies of the memory of these files, where that is asked for. */
function makeShadows(
  files: readonly PrivateFile[],
  { shadows }: CheckpointSession,
  tree: FrozenTree,
): ReadonlyMap<FrozenTask, RemoteTask> {
  if (shadows === undefined) return new Map();
  const tasks = new Set(
    files.flatMap(({ parts }) =>
      parts.flatMap(({ task, pieces }) =>
        partPieces(pieces, uncopied(task.proc.vmas)).outside.length > 0 ? [task] : []
      )
    ),
  );
  return shadows.make(
    tree,
    [...tasks].map((task) => ({ task, left: givenUp(task.proc.vmas) })),
  );
}

/** Makes a file, and opens it if something is written to it. */
function openFile(
  file: PrivateFile,
  { writer }: CheckpointSession,
  stack: DisposableStack,
): OpenFile | undefined {
  const path = writer.createRaw(file.kind, file.id);
  if (file.size === 0n) return undefined;
  const opened = stack.use(openPath(path, O_WRONLY));
  // Its checksums are made up to where the last of its writers has got to: it must not end before.
  const sized = syscall(SYSCALLS.ftruncate, opened.fd, file.size);
  if (isErrno(sized)) throw writeError(path, Number(sized));
  return { ...file, path, file: opened };
}

/** What tasks write of a file while they stand still, and what their shadows write later. */
function partWriting(
  { parts, kind, id, path, file }: OpenFile,
  shadows: ReadonlyMap<FrozenTask, RemoteTask>,
): { readonly now: Writing; readonly later: Writing } {
  const now: Writing["parts"][number][] = [];
  const later: Writing["parts"][number][] = [];
  for (const { task, pieces } of parts) {
    const shadow = shadows.get(task);
    if (shadow === undefined) {
      now.push({ remote: task.remote, pieces });
      continue;
    }
    const { within, outside } = partPieces(pieces, uncopied(task.proc.vmas));
    if (within.length > 0) now.push({ remote: task.remote, pieces: within });
    if (outside.length > 0) later.push({ remote: shadow, pieces: outside });
  }
  const common = { kind, id, path, file };
  return {
    now: { ...common, parts: now, byShadows: false, isMore: later.length > 0 },
    later: { ...common, parts: later, byShadows: true, isMore: false },
  };
}

/**
 * Has tasks write files, of which each task has a part in one only.
 *
 * @param progress is told how many bytes of them are written
 * @returns how many bytes that were
 */
async function writeFiles(
  { writer, check, breathe, shadows, options }: CheckpointSession,
  files: readonly Writing[],
  progress: (bytes: bigint) => void,
): Promise<bigint> {
  await using stack = new AsyncDisposableStack();
  const writing = files.map(({ kind, id, path, file, parts, byShadows, isMore }) => {
    const writers = parts.flatMap(({ remote, pieces }) => {
      if (pieces.length === 0) return [];
      const { direct, indirect } = cutPieces(pieces, PIECE);
      const writer = new TaskWriter(remote, file, path, direct, indirect, check, byShadows);
      return [stack.use(writer)];
    });
    const size = parts.reduce((sum, { pieces }) => sum + piecesSize(pieces), 0n);
    // A tree that stands still for the pages alone is not to share the processors with what writes to the disk.
    const early = size >= WRITTEN_EARLY && (byShadows || options.leaveRunning !== true)
      ? stack.use(new EarlyWriteback(path))
      : undefined;
    return { kind, id, isMore, writers, early, reached: 0n };
  });
  const writers = writing.flatMap((file) => file.writers);
  for (const one of writers) one.start();
  let active = writers;
  while (active.length > 0) {
    for (const one of active) {
      one.finish();
      // The next chunk is under way while this process does something else.
      one.start();
      shadows?.look();
    }
    progress(writers.reduce((sum, { written }) => sum + written, 0n));
    active = active.filter((one) => !one.done);
    for (const file of writing) {
      const { kind, id, isMore, writers, early } = file;
      const frontiers = writers.flatMap(({ frontier }) => frontier ?? []);
      const [first] = frontiers;
      if (first === undefined || isMore) continue;
      const frontier = frontiers.reduce((least, one) => one < least ? one : least, first);
      await writer.rawWritten(kind, id, frontier);
      early?.written(file.reached, frontier);
      file.reached = frontier;
    }
    await breathe();
  }
  return writers.reduce((sum, { written }) => sum + written, 0n);
}

/**
 * Takes the contents of those files out of their tasks that are small enough. Of very many tasks they are written bit by
 * bit while the tree stands still: they would be the most of this process's memory.
 *
 * @returns those files
 */
function holdContents(
  files: readonly PrivateFile[],
  session: CheckpointSession,
): ReadonlySet<PrivateFile> {
  const { writer, options } = session;
  const chosen = chooseHeld(files.map(({ size }) => size), options.copyLimit);
  const held = files.filter((_, index) => chosen[index]);
  const done = new Set<PrivateFile>();
  for (const lot of lotsOf(held)) {
    if (done.size > 0) writer.relieve();
    // Without memory for it they write it themselves.
    if (!holdLot(lot, session)) break;
    for (const file of lot) done.add(file);
  }
  return done;
}

/** Takes the contents of some files out of their tasks. @returns whether there is memory for it */
function holdLot(files: readonly PrivateFile[], { writer, check }: CheckpointSession): boolean {
  const room = divide(files.map(({ size }) => size));
  if (room === undefined) return false;
  writer.own(room.memory);
  for (const [index, { kind, id, parts }] of files.entries()) {
    const { buffer, address } = room.parts[index] as typeof room.parts[number];
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
    writer.writeRaw(kind, id, buffer);
  }
  return true;
}
