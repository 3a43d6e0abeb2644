/**
 * Merging an image directory with its parents: it is whole by itself then, and they can go. Checkpoints after it need
 * not be changed: it is what it was, but for the places of its pages.
 *
 * @module
 */
import { pread, syscall } from "../../core/linux/libc_ffi.ts";
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { exchange } from "../../core/linux/exchange.ts";
import { lockDirectory } from "../../core/linux/flock.ts";
import { crc32 } from "../../core/linux/x86_64/crc32_ffi.ts";
import { syncFileSystem } from "../../core/linux/sync.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { inventory_entry } from "../../images/gen/inventory_pb.ts";
import { INVENTORY } from "../../images/kinds/core.ts";
import { MANIFEST } from "../../images/kinds/manifest.ts";
import {
  PAGEMAP,
  PAGES,
  PARENT_PAGEMAP,
  PARENT_PAGES,
  SHMEM_PAGEMAP,
} from "../../images/kinds/memory.ts";
import { checkpointsOf, isOfPages, verifyChain } from "../../images/layers.ts";
import { encodeFile, ImageDirectory, ImageWriter } from "../../images/mod.ts";
import { savedFamilies } from "./merge_layout.ts";
import { layOutShared, ownPieces, pagemapEntries, type Piece } from "./pages_files.ts";
import type { Run } from "./runs.ts";
import type { SavedRun } from "./saved_pages.ts";
import { openPath } from "./open_path.ts";
import { writeAll } from "./target_writer.ts";
import { objectRuns, taskRuns } from "./task_runs.ts";
import { savedBefore } from "./unchanged_pages.ts";
import { checkPagesFiles } from "./validate.ts";

const O_RDONLY = 0, O_WRONLY = 1;
/** So much is copied between two looks whether it is cancelled. */
const STEP = 4n << 20n;

/**
 * Makes an image directory whole by itself. It is replaced at one moment: who dies before that leaves it as it was.
 *
 * @param directory whoever restores it at this moment, or makes a checkpoint after it, may fail, and loses nothing
 * @param step is called between two parts, and may throw
 * @returns whether it had parents
 * @throws {StasisError} `bad-image` where the chain is broken or damaged; `unsupported` where CRIU has made it, or the file system
 *   cannot replace a directory; `io`
 */
export async function mergeParents(
  directory: string,
  step: () => void | Promise<void> = () => {},
): Promise<boolean> {
  const images = ImageDirectory.open(Deno.realPathSync(directory), { crc32 });
  images.verify();
  if (checkpointsOf(images).length === 1) return false;
  const inventory = images.read(INVENTORY, null);
  if (images.manifest.size === 0 || !isWrittenAlike(images, inventory)) {
    throw new StasisError(
      "unsupported",
      `${images.path} was not made by Stasis, and cannot be merged`,
      {
        hint: "keep its parents",
      },
    );
  }
  // What is copied gets checksums of its own: damage would be sealed as right, and the originals are deleted.
  await verifyChain(images, step);
  await using writer = ImageWriter.create(images.path, {
    sync: (path) => syncFileSystem(path, () => {}),
    lock: lockDirectory,
    step,
    crc32,
    exchange,
  });
  for (const name of images.fileNames) {
    if (isOfPages(name) || name === MANIFEST.file || name === INVENTORY.file) continue;
    writer.take(images, name);
  }
  await writePages(images, writer, step);
  await writer.commit(inventory);
  return true;
}

/** Whether the inventory will have the bytes that it has: later checkpoints know this one by them. */
function isWrittenAlike(images: ImageDirectory, inventory: inventory_entry): boolean {
  const written = encodeFile(INVENTORY, inventory);
  const { size, crc32: sums = [] } = images.manifest.get(INVENTORY.file) ?? {};
  return size === BigInt(written.length) && sums[0] === crc32(written);
}

async function writePages(
  images: ImageDirectory,
  writer: ImageWriter,
  step: () => void | Promise<void>,
): Promise<void> {
  const runsOf = new Map(images.ids(PAGEMAP).map((pid) => [pid, taskRuns(images, pid)]));
  // Whoever has read the old pagemaps must not find other pages under the old names.
  let next = Math.max(0, ...images.ids(PAGES), ...images.ids(PARENT_PAGES)) + 1;
  const inner = new Map<number, readonly Run[]>();
  for (const { tasks, runs } of savedFamilies(runsOf)) {
    const pagesId = next++;
    const { entries, shared, parts } = layOutShared(
      tasks,
      runs,
      (pid) => readable(runsOf.get(pid) ?? []),
    );
    for (const [pid, own] of shared) {
      writer.writePagemap(PARENT_PAGEMAP, pid, { pagesId, entries });
      inner.set(pid, own);
    }
    const path = writer.createRaw(PARENT_PAGES, pagesId);
    for (const { task, pieces } of parts) await copy(runsOf.get(task) ?? [], pieces, path, step);
  }
  for (const [pid, runs] of runsOf) {
    const elsewhere = inner.get(pid) ?? [];
    const pieces = ownPieces(readable(runs), elsewhere);
    const pagesId = next++;
    const entries = pagemapEntries(pieces.map(({ run }) => run), elsewhere);
    writer.writePagemap(PAGEMAP, pid, { pagesId, entries });
    await copy(runs, pieces, writer.createRaw(PAGES, pagesId), step);
  }
  for (const id of images.ids(SHMEM_PAGEMAP)) {
    const runs = objectRuns(images, id);
    const pagesId = next++;
    writer.writePagemap(SHMEM_PAGEMAP, id, { pagesId, entries: pagemapEntries(runs, []) });
    await copy(runs, ownPieces(readable(runs), []), writer.createRaw(PAGES, pagesId), step);
  }
}

function readable(runs: readonly Run[]): { readonly run: Run; readonly readable: boolean }[] {
  return runs.map((run) => ({ run, readable: true }));
}

/** Copies pieces from where runs have them to their places in a file. */
async function copy(
  runs: readonly SavedRun[],
  pieces: readonly Piece[],
  path: string,
  step: () => void | Promise<void>,
): Promise<void> {
  checkPagesFiles(runs);
  using target = openPath(path, O_WRONLY);
  for (const [pages, group] of Map.groupBy(placed(runs, pieces), ({ from }) => from.pages)) {
    using source = openPath(pages, O_RDONLY);
    for (const { from, to } of group) {
      for (let done = 0n; done < from.size; done += STEP) {
        const size = from.size - done < STEP ? from.size - done : STEP;
        copyPart([source.fd, from.offset + done], [target.fd, to + done], size, path);
        await step();
      }
    }
  }
}

/** Where the parts of pieces come from and go to. */
function placed(
  runs: readonly SavedRun[],
  pieces: readonly Piece[],
): { readonly from: SavedRun; readonly to: bigint }[] {
  let next = 0;
  return savedBefore(pieces.map(({ run }) => run), runs).map((from) => {
    for (;; next++) {
      const { run, offset } = pieces[next] as Piece;
      if (from.start < run.start + run.size) return { from, to: offset + from.start - run.start };
    }
  });
}

/** Copies a part within the kernel, or shares its blocks where the file system can; by this process where it cannot. */
function copyPart(
  [from, fromOffset]: readonly [fd: number, offset: bigint],
  [to, toOffset]: readonly [fd: number, offset: bigint],
  size: bigint,
  path: string,
): void {
  const source = BigUint64Array.of(fromOffset), target = BigUint64Array.of(toOffset);
  let left = size;
  while (left > 0n) {
    const count = syscall(SYSCALLS.copy_file_range, from, source, to, target, left, 0);
    if (isErrno(count) || count === 0n) break;
    left -= count;
  }
  if (left === 0n) return;
  const buffer = new Uint8Array(Number(left));
  const count = pread(from, buffer, source[0] as bigint);
  if (count !== buffer.length) {
    const why = count < 0 ? errnoName(-count) : "it became shorter";
    throw new StasisError("io", `pages for ${path} cannot be read: ${why}`);
  }
  writeAll(to, buffer, target[0] as bigint, path);
}
