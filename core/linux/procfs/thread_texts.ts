/**
 * A small text file of `/proc` read of many threads at once (`core/linux/sweep.ts`).
 *
 * @module
 */
import { decodeBytes } from "../../../base/byte_text.ts";
import { cString } from "../libc_ffi.ts";
import { Own, Returned, Sweep } from "../sweep.ts";
import { takeAhead } from "../x86_64/read_ahead_ffi.ts";
import { readTaskText, taskPath } from "./read.ts";

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;
/** Room for a path, and for a text: what is longer is read by itself. */
const PATH_SIZE = 64, TEXT_SIZE = 4096;
/** The texts of so many threads are held at a time. */
const TOGETHER = 64;

/** A file that every thread has, and that the kernel makes in one piece (`single_open()` of `fs/seq_file.c`). */
export class ThreadTexts {
  readonly #file: string;
  readonly #sweep = new Sweep([
    { name: "openat", args: [AT_FDCWD, new Own(0), O_CLOEXEC, 0] },
    { name: "read", args: [new Returned(0), new Own(PATH_SIZE), TEXT_SIZE] },
    { name: "close", args: [new Returned(0)] },
  ], PATH_SIZE + TEXT_SIZE);

  /** @param file its name below the thread's directory, for example `status` */
  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Reads it.
   *
   * @param look is told of each thread, in their order
   * @throws {StasisError} as {@link readTaskText}
   */
  read(
    threads: readonly { readonly pid: number; readonly tid: number }[],
    look: (text: string, index: number) => void,
  ): void {
    for (let from = 0; from < threads.length; from += TOGETHER) {
      this.#readSome(threads.slice(from, from + TOGETHER), (text, at) => look(text, from + at));
    }
  }

  #readSome(
    threads: readonly { readonly pid: number; readonly tid: number }[],
    look: (text: string, index: number) => void,
  ): void {
    const texts: string[] = [];
    threads.forEach(({ pid, tid }, index) => {
      const ahead = takeAhead(`${taskPath(pid, tid)}/${this.#file}`);
      if (ahead?.length === 1) texts[index] = decodeBytes(ahead[0] as Uint8Array);
    });
    const rest = [...threads.keys()].filter((index) => texts[index] === undefined);
    const tids = rest.map((index) => (threads[index] as typeof threads[number]).tid);
    this.#sweep.run(tids, {
      // Each thread has a directory there, whether it is listed or not.
      fill: (own, _, index) => own.set(cString(`/proc/${tids[index]}/${this.#file}`)),
      look: (tid, { own, result }, at) => {
        const size = result(1);
        const isWhole = size > 0 && size < TEXT_SIZE;
        const index = rest[at] as number;
        const { pid } = threads[index] as typeof threads[number];
        texts[index] = isWhole
          ? decodeBytes(own.subarray(PATH_SIZE, PATH_SIZE + size))
          : readTaskText(pid, this.#file, tid);
      },
    });
    texts.forEach(look);
  }
}
