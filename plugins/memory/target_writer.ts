/**
 * Moves the contents of tasks into their pages files. A task writes its own pages, through a descriptor that
 * it has on loan: one copy, and all tasks at the same time. What it cannot write (pages that it may not read,
 * a limit of its own) is read through `/proc/PID/mem` and written here.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { remoteAddress } from "../../core/linux/address.ts";
import { errnoName } from "../../core/linux/errno.ts";
import { MADV } from "../../core/linux/mman.ts";
import { pwrite } from "../../core/linux/libc_ffi.ts";
import type { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { readLimits, RLIM_INFINITY } from "../../core/linux/procfs/mod.ts";
import { type CallResult, SyscallProgram } from "../../core/remote/program.ts";
import type { RemoteTask } from "../../core/remote/remote_task.ts";
import type { StartedRuns } from "../../core/remote/started_runs.ts";
import { lendDescriptor, type LentDescriptor } from "../../core/remote/send_descriptor.ts";
import { iovecs, type Transfer } from "./runs.ts";

/** How much a task writes before the others and progress have their turn. */
const CHUNK = 64n << 20n;
/** The same of a shadow: meanwhile nobody looks how much memory there is for its sake. */
const CHUNK_OF_SHADOW = 8n << 20n;
/**
 * How much is written by one call. A slow disk takes a second for as much as this, and between two calls a
 * program can be interrupted.
 */
export const PIECE = 4n << 20n;
/** How many calls a program has at most: each takes up to 16 KiB of scratch memory. */
const MAX_CALLS = 64;
const BUFFER = 1 << 20;

/** The contents of one task. */
export class TaskWriter implements Disposable {
  readonly #remote: RemoteTask;
  readonly #file: OwnedDescriptor;
  readonly #path: string;
  readonly #check: () => void;
  readonly #gives: boolean;
  readonly #chunk: bigint;
  #direct: readonly Transfer[];
  #indirect: readonly Transfer[];
  #lent: LentDescriptor | undefined;
  #started: { readonly runs: StartedRuns; readonly calls: [Transfer, CallResult][] } | undefined;
  #buffer: Uint8Array | undefined;
  /** Bytes written so far. */
  written = 0n;

  /**
   * @param file the pages file, open for writing here until this object is disposed of
   * @param path its name, for errors
   * @param direct what the task can read and so write itself
   * @param indirect what it cannot
   * @param check throws where the operation is cancelled
   * @param gives whether what is written is given up: it is a shadow's, of whose pages the task gets copies for as long
   *   as both have them
   */
  constructor(
    remote: RemoteTask,
    file: OwnedDescriptor,
    path: string,
    direct: readonly Transfer[],
    indirect: readonly Transfer[],
    check: () => void,
    gives: boolean,
  ) {
    this.#check = check;
    this.#gives = gives;
    this.#chunk = gives ? CHUNK_OF_SHADOW : CHUNK;
    this.#remote = remote;
    this.#file = file;
    this.#path = path;
    this.#direct = direct;
    this.#indirect = indirect;
    const end = [...direct, ...indirect].reduce(
      (max, { offset, size }) => offset + size > max ? offset + size : max,
      0n,
    );
    if (direct.length === 0) return;
    // Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, which must not happen to the task because of us.
    const limit = readLimits(remote.pid).find(({ name }) => name === "RLIMIT_FSIZE");
    const free = limit === undefined || limit.soft === RLIM_INFINITY || limit.soft >= end;
    this.#lent = free ? lendDescriptor(remote, file.fd) : undefined;
    if (this.#lent === undefined) {
      this.#indirect = [...direct, ...indirect];
      this.#direct = [];
    }
  }

  /** Whether everything is written. */
  get done(): boolean {
    return this.#started === undefined && this.#direct.length === 0 && this.#indirect.length === 0;
  }

  /** How much of the file is written without a gap, in bytes; undefined when all is. */
  get frontier(): bigint | undefined {
    const next = [this.#started?.calls[0]?.[0], this.#direct[0], this.#indirect[0]]
      .flatMap((transfer) => transfer === undefined ? [] : [transfer.offset]);
    return next.length === 0 ? undefined : next.reduce((min, at) => at < min ? at : min);
  }

  /** Begins the next chunk that the task can write itself, if there is one; {@link finish} ends it. */
  start(): void {
    if (this.#lent === undefined || this.#direct.length === 0) return;
    const program = new SyscallProgram(`writing the memory of task ${this.#remote.pid}`);
    const calls: [Transfer, CallResult][] = [];
    let size = 0n;
    let count = 0;
    while (count < this.#direct.length && count < MAX_CALLS) {
      const transfer = this.#direct[count] as Transfer;
      if (count > 0 && size + transfer.size > this.#chunk) break;
      const vector = program.data(iovecs(transfer.runs), `${transfer.runs.length} iovecs`);
      const written = program.try(
        "pwritev",
        this.#lent.fd,
        vector,
        transfer.runs.length,
        transfer.offset,
        0,
      );
      calls.push([transfer, written]);
      if (this.#gives) giveUp(program, transfer, written);
      size += transfer.size;
      count++;
    }
    this.#direct = this.#direct.slice(count);
    this.#started = {
      runs: this.#remote.start([{ thread: this.#remote.leader, program }]),
      calls,
    };
  }

  /**
   * Waits for the chunk that was begun; without one, writes a chunk of what the task cannot write.
   *
   * @throws {StasisError} `io` where the disk is full
   */
  finish(): void {
    const started = this.#started;
    if (started === undefined) return this.#writeIndirect();
    const [reply] = started.runs.finish();
    this.#started = undefined;
    for (const [transfer, call] of started.calls) {
      // Whatever went wrong, from here it either works or has a better error.
      if (reply?.result(call) !== transfer.size) this.#copy(transfer);
      this.written += transfer.size;
    }
  }

  #writeIndirect(): void {
    let size = 0n;
    let count = 0;
    for (const transfer of this.#indirect) {
      if (count > 0 && size + transfer.size > this.#chunk) break;
      this.#copy(transfer);
      this.written += transfer.size;
      size += transfer.size;
      count++;
    }
    this.#indirect = this.#indirect.slice(count);
  }

  #copy(transfer: Transfer): void {
    const buffer = this.#buffer ??= new Uint8Array(BUFFER);
    let { offset } = transfer;
    for (const { start, size } of transfer.runs) {
      for (let at = 0n; at < size;) {
        this.#check();
        const length = Math.min(BUFFER, Number(size - at));
        const part = buffer.subarray(0, length);
        this.#remote.memory.readInto(remoteAddress(start + at), part);
        writeAll(this.#file.fd, part, offset, this.#path);
        at += BigInt(length);
        offset += BigInt(length);
      }
    }
  }

  /** Takes the file back from the task. A chunk that is under way ends first. */
  [Symbol.dispose](): void {
    // What became of it does not matter any more.
    this.#started?.runs.settle();
    this.#lent?.[Symbol.dispose]();
  }
}

/** Smaller runs are kept: a call for each would cost more than they do. */
const GIVEN = 64n << 10n;

/** Gives up what a call has written, where it has written all of it. */
function giveUp(program: SyscallProgram, { runs, size }: Transfer, written: CallResult): void {
  for (const run of runs) {
    if (run.size < GIVEN) continue;
    program.tryWhere(written, size, "madvise", run.start, run.size, MADV.DONTNEED);
  }
}

/** Writes all bytes at an offset. @throws {StasisError} `io` */
export function writeAll(fd: number, bytes: Uint8Array, offset: bigint, path: string): void {
  for (let done = 0; done < bytes.byteLength;) {
    const count = pwrite(fd, bytes.subarray(done), offset + BigInt(done));
    if (count <= 0) throw writeError(path, count);
    done += count;
  }
}

/** The error for a pages file that cannot be written. */
export function writeError(path: string, result: number): StasisError {
  const errno = errnoName(-result);
  const full = errno === "ENOSPC" || errno === "EDQUOT";
  return new StasisError(
    "io",
    full
      ? `there is no space left to write ${path} (${errno})`
      : `${path} cannot be written: ${errno}`,
    { errno, hint: full ? "make room, or write the images to another file system" : undefined },
  );
}
