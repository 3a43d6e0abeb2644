/**
 * New files of an image directory: made, written and looked at, with errors that say which one it is.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { ioError } from "../base/io_error.ts";
import { concat } from "./codec.ts";

/** Entries of a list are gathered up to this many bytes before they are written. */
const BUFFER_SIZE = 1 << 18;

/** A file that is open and was not there before. */
export interface NewFile {
  readonly file: Deno.FsFile;
  readonly path: string;
}

/**
 * Creates a file of mode 0600.
 *
 * @param name what messages call it
 * @throws {StasisError} `internal` where it was written already, `io`
 */
export function createFile(path: string, name: string): NewFile {
  try {
    return { file: Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }), path };
  } catch (cause) {
    if (cause instanceof Deno.errors.AlreadyExists) {
      throw new StasisError("internal", `the image ${name} was written twice`, { cause });
    }
    throw ioError(`create ${path}`, cause);
  }
}

/** Writes all of it. @throws {StasisError} `io` */
export function writeWhole({ file, path }: NewFile, whole: Uint8Array): void {
  try {
    for (let at = 0; at < whole.length;) at += file.writeSync(whole.subarray(at));
  } catch (cause) {
    throw ioError(`write ${path}`, cause);
  }
}

/** The size of a file in bytes. @throws {StasisError} `io` */
export function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (cause) {
    throw ioError(`look at ${path}`, cause);
  }
}

/** A file to which one entry after the other is added, and which is written in large pieces. */
export class ListFile {
  readonly #to: NewFile;
  #parts: Uint8Array[] = [];
  #size = 0;

  constructor(to: NewFile) {
    this.#to = to;
  }

  /** @throws {StasisError} `io` */
  add(entry: Uint8Array): void {
    this.#parts.push(entry);
    this.#size += entry.length;
    if (this.#size >= BUFFER_SIZE) this.flush();
  }

  /** Hands what was gathered to the kernel. @throws {StasisError} `io` */
  flush(): void {
    const parts = this.#parts;
    this.#parts = [];
    this.#size = 0;
    writeWhole(this.#to, concat(parts));
  }

  /** Closes it, without what was not flushed. */
  close(): void {
    this.#to.file.close();
  }
}
