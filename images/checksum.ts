/**
 * Checksums of image files: CRC-32 (that of zlib) of each block of a file, so that they can be made while the file
 * is being written, in any order of blocks, and tell where a file is damaged.
 *
 * @module
 */
import { ioError } from "../base/io_error.ts";

/** How many bytes of a file a checksum is of; the last one is of what is left. */
export const BLOCK_SIZE = 1 << 20;

/** Makes the checksum of some bytes. */
export type Crc32 = (bytes: Uint8Array) => number;

let tables: readonly Uint32Array[] | undefined;

/** Tables for eight bytes at a time ("slicing by 8"), of the polynomial 0xedb88320. */
function makeTables(): readonly Uint32Array[] {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  const [first] = tables as [Uint32Array];
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? value >>> 1 ^ 0xedb88320 : value >>> 1;
    first[byte] = value;
  }
  for (let byte = 0; byte < 256; byte++) {
    for (let table = 1; table < 8; table++) {
      const before = tables[table - 1]![byte]!;
      tables[table]![byte] = before >>> 8 ^ first[before & 0xff]!;
    }
  }
  return tables;
}

/** CRC-32 by tables: two gigabytes a second, once V8 has compiled it, and 40 MB before. */
export function crc32ByTables(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = (tables ??= makeTables()) as [
    ...[Uint32Array, Uint32Array, Uint32Array, Uint32Array],
    ...[Uint32Array, Uint32Array, Uint32Array, Uint32Array],
  ];
  let crc = 0xffffffff;
  let at = 0;
  if (bytes.byteOffset % 4 === 0) {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 3 << 1);
    for (let word = 0; word < words.length; word += 2) {
      const low = words[word]! ^ crc;
      const high = words[word + 1]!;
      crc = t7[low & 0xff]! ^ t6[low >>> 8 & 0xff]! ^ t5[low >>> 16 & 0xff]! ^ t4[low >>> 24]! ^
        t3[high & 0xff]! ^ t2[high >>> 8 & 0xff]! ^ t1[high >>> 16 & 0xff]! ^ t0[high >>> 24]!;
    }
    at = words.byteLength;
  }
  for (; at < bytes.length; at++) crc = t0[(crc ^ bytes[at]!) & 0xff]! ^ crc >>> 8;
  return ~crc >>> 0;
}

/** The checksums of a file that is in memory. */
export function checksumsOf(bytes: Uint8Array, crc32: Crc32): number[] {
  // Of thousands of small files: a list that grows is made with room for more.
  if (bytes.length > 0 && bytes.length <= BLOCK_SIZE) return [crc32(bytes)];
  const sums: number[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_SIZE) {
    sums.push(crc32(bytes.subarray(at, at + BLOCK_SIZE)));
  }
  return sums;
}

/** The checksums of a file, block by block, perhaps while it still grows. */
export class FileChecksums {
  readonly #path: string;
  readonly #crc32: Crc32;
  readonly #sums: (number | undefined)[] = [];
  /** All blocks before this one have theirs. */
  #next = 0;

  /** @param path where the file is */
  constructor(path: string, crc32: Crc32) {
    this.#path = path;
    this.#crc32 = crc32;
  }

  /** Makes that of one whole block, or of the last one, of bytes that are what the file has there. */
  add(block: number, bytes: Uint8Array): void {
    this.#sums[block] = this.#crc32(bytes);
  }

  /** Says that a part of the file has changed. @param end the byte behind it */
  forget(start: number, end: number): void {
    const first = Math.floor(start / BLOCK_SIZE);
    for (let block = first; block * BLOCK_SIZE < end; block++) this.#sums[block] = undefined;
    this.#next = Math.min(this.#next, first);
  }

  /**
   * Makes those of all blocks that end at or before `end` and have none, and of the last one if `isWhole`.
   *
   * @param end how much of the file is as it will be, in bytes
   * @param isWhole whether nothing comes behind it
   * @param step is called between two blocks
   * @throws {StasisError} `io`
   */
  async advance(end: number, isWhole: boolean, step: () => void | Promise<void>): Promise<void> {
    let file: Deno.FsFile | undefined;
    try {
      while (this.#next * BLOCK_SIZE < end) {
        const at = this.#next * BLOCK_SIZE;
        const size = Math.min(BLOCK_SIZE, end - at);
        if (size < BLOCK_SIZE && !isWhole) break;
        const block = this.#next++;
        if (this.#sums[block] !== undefined) continue;
        file ??= Deno.openSync(this.#path, { read: true });
        file.seekSync(at, Deno.SeekMode.Start);
        this.add(block, readWhole(file, bufferOf(size)));
        await step();
      }
    } catch (cause) {
      throw ioError(`read ${this.#path}`, cause);
    } finally {
      file?.close();
    }
  }

  /** Those that have been made, up to the first block that has none. */
  get sums(): readonly number[] {
    return this.#sums.slice(0, this.#next) as number[];
  }
}

/** Where blocks of all files are read to, one at a time: buffers of thousands of files would be garbage for long. */
let common = new Uint8Array(0);

/** Room for a block, until the next one is read. */
function bufferOf(size: number): Uint8Array {
  if (common.length < size) common = new Uint8Array(size);
  return common.subarray(0, size);
}

/** Fills a buffer; what a file that became shorter has no bytes for is left out. */
function readWhole(file: Deno.FsFile, buffer: Uint8Array): Uint8Array {
  let done = 0;
  while (done < buffer.length) {
    const count = file.readSync(buffer.subarray(done));
    if (count === null) break;
    done += count;
  }
  return buffer.subarray(0, done);
}
