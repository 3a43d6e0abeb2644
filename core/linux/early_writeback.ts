/**
 * Beginning to write a file to the disk while more of it is still being made: what waits for the disk in the end
 * (`sync.ts`) has little left to wait for.
 *
 * @module
 */
import { areThreadsScarce } from "./blocking_threads.ts";
import { isErrno } from "./errno.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { callAside } from "./x86_64/call_batch_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const O_CLOEXEC = 0o2000000;
/** SYNC_FILE_RANGE_WRITE (`include/uapi/linux/fs.h`). */
const BEGIN = 2;
/** From so many bytes on it is worth a call, which is for so many at most: nothing can interrupt it. */
const LEAST = 4n << 20n, MOST = 8n << 20n;

/**
 * Has another thread begin it, which waits where the disk has enough to do. It only ever begins: whether all comes to
 * the disk is asked by who waits for it, and the kernel keeps errors until then (`errseq_sample()`, lib/errseq.c).
 */
export class EarlyWriteback implements AsyncDisposable {
  readonly #file?: OwnedDescriptor;
  #from = 0n;
  #to = 0n;
  #underWay: Promise<void> | undefined;
  #isOver = false;

  /** @param path a file that is there */
  constructor(path: string) {
    const opened = syscall(SYSCALLS.openat, -100, cString(path), O_CLOEXEC, 0);
    // Without it all is written in the end.
    if (!isErrno(opened)) this.#file = new OwnedDescriptor(Number(opened));
  }

  /** Says that bytes have been written that will most likely stay. @param from the first @param to the one behind them */
  written(from: bigint, to: bigint): void {
    if (this.#from === this.#to) [this.#from, this.#to] = [from, to];
    else {
      if (from < this.#from) this.#from = from;
      if (to > this.#to) this.#to = to;
    }
    const isWorthIt = this.#to - this.#from >= LEAST && !areThreadsScarce();
    const file = this.#file;
    if (isWorthIt && file !== undefined) this.#underWay ??= this.#begin(file);
  }

  async #begin(file: OwnedDescriptor): Promise<void> {
    while (!this.#isOver && this.#to - this.#from >= LEAST) {
      const left = this.#to - this.#from;
      const size = left > MOST ? MOST : left;
      const args = [file.fd, this.#from, size, BEGIN];
      this.#from += size;
      await callAside([{ name: "sync_file_range", args }], []);
    }
    this.#underWay = undefined;
  }

  /** Begins no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#underWay;
    this.#file?.[Symbol.dispose]();
  }
}
