/**
 * The copy of one task's private memory that is made while it runs, in a file of the inner parent (`images/parent.ts`):
 * what is the same still at the freeze is left there.
 *
 * @module
 */
import type { Task } from "../../core/checkpoint/task.ts";
import type { WriteWatch } from "../../core/checkpoint/write_watch.ts";
import { cutRanges, withoutRanges } from "../../core/checkpoint/ranges.ts";
import { type RemoteAddress, remoteAddress } from "../../core/linux/address.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { EarlyWriteback } from "../../core/linux/early_writeback.ts";
import { OpenPagemap } from "../../core/linux/open_pagemap.ts";
import type { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { type AddressRange, scanPages, type Vma } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { CheckpointSession } from "../../core/plugin.ts";
import { BLOCK_SIZE } from "../../images/checksum.ts";
import { PARENT_PAGES } from "../../images/kinds/memory.ts";
import { copyInLanes } from "./copy_lanes.ts";
import { cutPieces, ownPieces, type Piece } from "./pages_files.ts";
import { appendRun, hasContents, type Run, totalSize, type Transfer } from "./runs.ts";
import { openPath } from "./open_path.ts";
import { writeError } from "./target_writer.ts";

const O_WRONLY = 1;
/** FALLOC_FL_PUNCH_HOLE with FALLOC_FL_KEEP_SIZE (`include/uapi/linux/falloc.h`). */
const PUNCH_HOLE = 0x2 | 0x1;

/** One copy. */
export class AheadCopy implements AsyncDisposable {
  /** The number of its pages file. */
  readonly pagesId: number;
  /** What is in the file, one behind the other; ascending. */
  readonly layout: readonly Run[];
  readonly #session: CheckpointSession;
  readonly #pid: number;
  readonly #watch: WriteWatch;
  readonly #path: string;
  readonly #file: OwnedDescriptor;
  readonly #early: EarlyWriteback;
  readonly #pieces: readonly Piece[];
  /** What of it was read as it was at one moment or later, and is watched since; ascending. */
  #copied: readonly AddressRange[];

  /**
   * Watches memory of a task from now on, and makes the file. Nothing is copied yet.
   */
  constructor(
    session: CheckpointSession,
    { pid, liveTid }: Task,
    watch: WriteWatch,
    pagesId: number,
  ) {
    this.#session = session;
    this.#pid = pid;
    this.#watch = watch;
    this.pagesId = pagesId;
    const watched = watch.begin();
    using pagemap = new OpenPagemap(liveTid);
    const layout: Run[] = [];
    // What the kernel has no page of a file for is no file's.
    for (const { start, end, categories } of scanPages(pagemap, watched, () => true)) {
      if (hasContents(categories)) appendRun(layout, start, end - start);
    }
    this.layout = layout;
    this.#pieces = ownPieces(layout.map((run) => ({ run, readable: true })), []);
    this.#copied = layout.map(toRange);
    this.#path = session.writer.createRaw(PARENT_PAGES, pagesId);
    this.#file = openPath(this.#path, O_WRONLY);
    const sized = syscall(SYSCALLS.ftruncate, this.#file.fd, this.size);
    if (isErrno(sized)) throw writeError(this.#path, Number(sized));
    this.#early = new EarlyWriteback(this.#path);
  }

  /** The size of the file, in bytes. */
  get size(): bigint {
    return totalSize(this.layout);
  }

  /** How much of what was copied has been written to since, in bytes. */
  get stale(): bigint {
    const { watched, written } = this.#watch.find(this.#copied, "look");
    return rangesSize(cutRanges(written, watched));
  }

  /** Copies all. @param progress is told how many bytes more are copied */
  async copyAll(progress: (bytes: bigint) => void): Promise<void> {
    await this.#copy(this.#pieces, progress);
  }

  /**
   * Watches what has been written to anew, and copies that once more.
   *
   * @param settleCalls has the tree stand still between the two; where that cannot be, all is given up
   */
  async copyAgain(settleCalls: () => boolean): Promise<void> {
    const { watched, written } = this.#watch.find(this.#copied, "protect");
    this.#copied = settleCalls() ? watched : [];
    if (this.#copied.length === 0) return;
    await this.#copy(this.#piecesIn(cutRanges(written, watched)), () => {});
  }

  /** The parts of the file that have what is in some ranges. @param ranges ascending */
  #piecesIn(ranges: readonly AddressRange[]): Piece[] {
    const pieces: Piece[] = [];
    let next = 0;
    for (const { start, end } of ranges) {
      while (next < this.#pieces.length && endOf(this.#pieces[next] as Piece) <= start) next++;
      for (let at = next; at < this.#pieces.length; at++) {
        const { run, readable, offset } = this.#pieces[at] as Piece;
        if (run.start >= end) break;
        const from = run.start > start ? run.start : start;
        const to = run.start + run.size < end ? run.start + run.size : end;
        const part = { start: from, size: to - from };
        pieces.push({ run: part, readable, offset: offset + from - run.start });
      }
    }
    return pieces;
  }

  async #copy(pieces: readonly Piece[], progress: (bytes: bigint) => void): Promise<void> {
    const { check, writer } = this.#session;
    const { direct } = cutPieces(pieces, BigInt(BLOCK_SIZE));
    const failed: AddressRange[] = [];
    const to = { file: this.#file, path: this.#path };
    await copyInLanes(this.#pid, direct, to, ({ transfer, bytes }) => {
      check();
      this.#noteChange(transfer);
      if (bytes === undefined) { for (const run of transfer.runs) failed.push(toRange(run)); }
      else if (isBlock(transfer, this.size)) {
        const block = Number(transfer.offset) / BLOCK_SIZE;
        writer.rawBlock(PARENT_PAGES, this.pagesId, block, bytes);
      }
      this.#early.written(transfer.offset, transfer.offset + transfer.size);
      progress(transfer.size);
    });
    failed.sort((a, b) => a.start < b.start ? -1 : 1);
    this.#copied = this.#copied.flatMap((range) => withoutRanges(range, failed));
  }

  #noteChange({ offset, size }: Pick<Transfer, "offset" | "size">): void {
    this.#session.writer.rawChanged(PARENT_PAGES, this.pagesId, offset, offset + size);
  }

  /** What of the task, which stands still, is as the file has it; ascending. @param vmas its mappings now */
  same(vmas: readonly Vma[]): AddressRange[] {
    const { watched, written } = this.#watch.findFrozen(this.#copied, vmas);
    return watched.flatMap((range) => withoutRanges(range, written));
  }

  /** Makes room of what is not used of the file. @param used ascending */
  punch(used: readonly Run[]): void {
    const ranges = used.map(toRange);
    const left = this.layout.flatMap((run) => withoutRanges(toRange(run), ranges));
    for (const { run: { size }, offset } of this.#piecesIn(left)) {
      // A file system that knows no holes keeps what nobody asks for.
      const result = syscall(SYSCALLS.fallocate, this.#file.fd, PUNCH_HOLE, offset, size);
      if (isErrno(result)) return;
      this.#noteChange({ offset, size });
    }
  }

  /** Takes the file away again. */
  discard(): void {
    this.#session.writer.removeRaw(PARENT_PAGES, this.pagesId);
  }

  /** Begins to end the watching, without the task having to wait. */
  beginGivingBack(): void {
    this.#watch.beginGivingBack();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#early[Symbol.asyncDispose]();
    this.#file[Symbol.dispose]();
  }
}

/** Whether a transfer is all that a checksum is of. @param size that of the file */
function isBlock({ offset, size }: Transfer, whole: bigint): boolean {
  const block = BigInt(BLOCK_SIZE);
  return offset % block === 0n && (size === block || offset + size === whole);
}

function toRange({ start, size }: Run): AddressRange {
  return { start: remoteAddress(start), end: remoteAddress(start + size) as RemoteAddress };
}

function endOf({ run }: Piece): bigint {
  return run.start + run.size;
}

function rangesSize(ranges: readonly AddressRange[]): bigint {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0n);
}
