/**
 * Where the bytes of an image are read from: memory, or a file of which only a part is in memory at a time.
 *
 * @module
 */
import { ioError } from "../base/io_error.ts";

/** Bytes that can be read anywhere. */
export interface ByteSource {
  /** How many there are. */
  readonly size: number;
  /** A part that is within them. It must not be changed. */
  read(offset: number, length: number): Uint8Array;
}

/** A part of a source. */
export function partOf(source: ByteSource, start: number, size: number): ByteSource {
  return { size, read: (offset, length) => source.read(start + offset, length) };
}

/** Bytes in memory. */
export class MemorySource implements ByteSource {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.length;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#bytes.subarray(offset, offset + length);
  }
}

/** So much of a file is read at once, in bytes. */
const WINDOW = 1 << 18;

/** A file, read from its beginning on; it stays open until this is disposed of. */
export class FileSource implements ByteSource, Disposable {
  readonly size: number;
  readonly #path: string;
  readonly #file: Deno.FsFile;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;

  /** @throws {StasisError} `io` */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#file = Deno.openSync(path, { read: true });
      this.size = this.#file.statSync().size;
    } catch (cause) {
      throw ioError(`read ${path}`, cause);
    }
  }

  /** @throws {StasisError} `io` */
  read(offset: number, length: number): Uint8Array {
    if (offset < this.#start || offset + length > this.#start + this.#window.length) {
      this.#fill(offset, Math.min(Math.max(length, WINDOW), this.size - offset));
    }
    return this.#window.subarray(offset - this.#start, offset - this.#start + length);
  }

  /** Makes a new window; parts of the old one may be in use. */
  #fill(offset: number, length: number): void {
    const window = new Uint8Array(length);
    try {
      this.#file.seekSync(offset, Deno.SeekMode.Start);
      for (let done = 0; done < length;) {
        const count = this.#file.readSync(window.subarray(done));
        if (count === null) throw new Error("it became shorter");
        done += count;
      }
    } catch (cause) {
      throw ioError(`read ${this.#path}`, cause);
    }
    this.#window = window;
    this.#start = offset;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
