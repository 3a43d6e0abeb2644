/**
 * The sizes and checksums of the files of an image directory in the making, for its manifest.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ioError } from "../base/io_error.ts";
import { BLOCK_SIZE, checksumsOf, type Crc32, FileChecksums } from "./checksum.ts";
import type { MANIFEST } from "./kinds/manifest.ts";
import { sizeOf } from "./new_file.ts";
import { OUTSIDE_NAMES } from "./outside_names.ts";
import { imageNames } from "./parent.ts";

/** What a manifest says of a file. */
export type ManifestEntry = MessageInitShape<typeof MANIFEST.schema> & { readonly name: string };

/** Checksums by the names of the files. */
export class FileSums {
  readonly #crc32: Crc32;
  readonly #step: () => void | Promise<void>;
  /** Of what was written at once. */
  readonly #whole = new Map<string, { readonly size?: number; readonly sums: readonly number[] }>();
  /** Of what others write, or that is written piece by piece. */
  readonly #growing = new Map<string, FileChecksums>();

  /** @param step is called while checksums are made, and may throw to end that */
  constructor(crc32: Crc32, step: () => void | Promise<void>) {
    this.#crc32 = crc32;
    this.#step = step;
  }

  /** Notes those of a file that was written at once. */
  addWhole(name: string, bytes: Uint8Array): void {
    this.#whole.set(name, { size: bytes.length, sums: checksumsOf(bytes, this.#crc32) });
  }

  /** Notes what is known of a file. */
  addKnown(name: string, sums: readonly number[]): void {
    this.#whole.set(name, { sums });
  }

  /** Says that a file grows. */
  addGrowing(name: string, path: string): void {
    this.#growing.set(name, new FileChecksums(path, this.#crc32));
  }

  /** Makes those of a file that grows, up to a byte from which on it may still change. @throws {StasisError} `io` */
  async advance(name: string, end: number): Promise<void> {
    await this.#growing.get(name)?.advance(end, false, this.#step);
  }

  /** Makes that of one block of a file that grows, of the bytes that it has there. */
  addBlock(name: string, block: number, bytes: Uint8Array): void {
    this.#growing.get(name)?.add(block, bytes);
  }

  /** Says that a part of a file that grows is another one than it was. */
  forget(name: string, start: number, end: number): void {
    this.#growing.get(name)?.forget(start, end);
  }

  /** Says that a file that grew is gone. */
  remove(name: string): void {
    this.#growing.delete(name);
  }

  /** Makes those of all files that grew. @throws {StasisError} `io` */
  async finish(directory: string): Promise<void> {
    for (const [name, sums] of this.#growing) {
      await sums.advance(sizeOf(`${directory}/${name}`), true, this.#step);
    }
  }

  /** What the manifest says of a file of these bytes. */
  entryOf(name: string, bytes: Uint8Array): ManifestEntry {
    return entry(name, bytes.length, checksumsOf(bytes, this.#crc32));
  }

  /** The same of every file in a directory. @throws {StasisError} `io` */
  async entries(directory: string): Promise<ManifestEntry[]> {
    const entries: ManifestEntry[] = [];
    for (const name of namesIn(directory)) {
      if (name === OUTSIDE_NAMES) continue;
      const path = `${directory}/${name}`;
      const whole = this.#whole.get(name);
      const size = whole?.size ?? sizeOf(path);
      let sums = whole?.sums ?? this.#growing.get(name)?.sums;
      if (sums === undefined) {
        const list = new FileChecksums(path, this.#crc32);
        await list.advance(size, true, this.#step);
        sums = list.sums;
      }
      entries.push(entry(name, size, sums));
    }
    return entries;
  }
}

function entry(name: string, size: number, sums: readonly number[]): ManifestEntry {
  return { name, size: BigInt(size), blockSize: BLOCK_SIZE, crc32: [...sums] };
}

function namesIn(directory: string): string[] {
  try {
    return imageNames(directory);
  } catch (cause) {
    throw ioError(`list ${directory}`, cause);
  }
}
