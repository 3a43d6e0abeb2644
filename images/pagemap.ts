/**
 * Pagemaps, by hand: which pages of an address space are in a pages file, in its order. There are as many
 * entries as there are runs of pages, so this neither goes through descriptors nor makes a message of each;
 * it writes what the generic codec would.
 *
 * @module
 */

import type { ByteSource } from "./byte_source.ts";
import { badImage, FrameReader } from "./codec.ts";
import { StasisError } from "../base/errors.ts";
import { headMagics, type ImageKind } from "./kind.ts";

/** The pages are in a parent image (criu/include/pagemap.h). */
export const PE_PARENT = 1 << 0;
/** The pages may be fetched after the restore. */
export const PE_LAZY = 1 << 1;
/** The pages are in the pages file. */
export const PE_PRESENT = 1 << 2;

/** A run of pages. */
export interface PagemapEntry {
  /** The address of the first page, in bytes (an offset where it is shared memory). */
  readonly vaddr: bigint;
  /** How many pages of 4 KiB. */
  readonly nrPages: number;
  /** `PE_*`. */
  readonly flags: number;
}

/** What a pagemap file holds. */
export interface Pagemap {
  /** The id of the pages file. */
  readonly pagesId: number;
  /** The runs, in the order of the pages file. */
  readonly entries: readonly PagemapEntry[];
}

/** A frame has at most a size, a 64-bit varint with its tag, three more of u32, u32 and u64. */
const MAX_FRAME = 4 + 11 + 6 + 6 + 11;

/**
 * Encodes a pagemap file. Both fields for the number of pages are written, so that CRIU from before 4.0, which
 * knows one of 32 bits only, reads it too.
 *
 * @param kind `PAGEMAP` or `SHMEM_PAGEMAP`.
 * @throws {StasisError} `internal` where a number is out of range.
 */
export function encodePagemap(kind: ImageKind, pagemap: Pagemap): Uint8Array {
  const magics = headMagics(kind);
  const bytes = new Uint8Array(4 * magics.length + MAX_FRAME * (pagemap.entries.length + 1));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const magic of magics) {
    view.setUint32(at, magic, true);
    at += 4;
  }
  let start = at + 4;
  bytes[start] = 0x08; // field 1, varint
  at = varint(bytes, start + 1, checked(pagemap.pagesId, 0xffffffff));
  view.setUint32(start - 4, at - start, true);
  for (const { vaddr, nrPages, flags } of pagemap.entries) {
    start = at + 4;
    bytes[start] = 0x08;
    const address = Number(vaddr);
    at = Number.isSafeInteger(address)
      ? varint(bytes, start + 1, checked(address, Number.MAX_SAFE_INTEGER))
      : bigVarint(bytes, start + 1, vaddr);
    bytes[at] = 0x10; // field 2, the number of pages where it fits
    at = varint(bytes, at + 1, nrPages <= 0xffffffff ? nrPages : 0);
    bytes[at] = 0x20; // field 4
    at = varint(bytes, at + 1, checked(flags, 0xffffffff));
    bytes[at] = 0x28; // field 5
    at = varint(bytes, at + 1, checked(nrPages, Number.MAX_SAFE_INTEGER));
    view.setUint32(start - 4, at - start, true);
  }
  return bytes.subarray(0, at);
}

function checked(value: number, max: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new StasisError("internal", `${value} cannot stand in a pagemap`);
}

function varint(bytes: Uint8Array, at: number, value: number): number {
  while (value > 0x7fffffff) {
    bytes[at++] = (value % 128) | 0x80;
    value = Math.floor(value / 128);
  }
  while (value > 0x7f) {
    bytes[at++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  bytes[at++] = value;
  return at;
}

function bigVarint(bytes: Uint8Array, at: number, value: bigint): number {
  if (value < 0n || value >= 1n << 64n) {
    throw new StasisError("internal", `${value} cannot stand in a pagemap`);
  }
  while (value > 0x7fn) {
    bytes[at++] = Number(value & 0x7fn) | 0x80;
    value >>= 7n;
  }
  bytes[at++] = Number(value);
  return at;
}

/**
 * Decodes a pagemap file, of old images too: where an entry says nothing of flags its pages are present or,
 * with `in_parent`, in the parent.
 *
 * @param kind `PAGEMAP` or `SHMEM_PAGEMAP`.
 * @param source The file's contents.
 * @param file Its name, for errors.
 * @throws {StasisError} `bad-image` where it is not a whole pagemap.
 */
export function decodePagemap(kind: ImageKind, source: ByteSource, file: string): Pagemap {
  const frames = new FrameReader(source, file);
  frames.magics(kind);
  if (frames.atEnd) {
    throw badImage(file, frames.offset, "it ends where a pagemap_head must begin");
  }
  const fields = new PagemapFields(file);
  const head = frames.frame("pagemap_head");
  fields.read(head, "pagemap_head");
  if (!fields.hasFirst) {
    throw badImage(file, head.start, "the pagemap_head lacks its required field pages_id");
  }
  const pagesId = fields.first >>> 0;
  const entries: PagemapEntry[] = [];
  while (!frames.atEnd) {
    const frame = frames.frame("pagemap_entry");
    const { start } = frame;
    fields.read(frame, "pagemap_entry");
    if (!fields.hasFirst) {
      throw badImage(file, start, "the pagemap_entry lacks its required field vaddr");
    }
    if (fields.compatPages < 0) {
      throw badImage(file, start, "the pagemap_entry lacks its required field compat_nr_pages");
    }
    const nrPages = fields.pages < 0 ? fields.compatPages : fields.pages;
    if (!Number.isSafeInteger(nrPages)) {
      throw badImage(file, start, "the pagemap_entry has an impossible number of pages");
    }
    entries.push({ vaddr: fields.firstBig(), nrPages, flags: fields.effectiveFlags() });
  }
  return { pagesId, entries };
}

/** The fields of one message; read anew for each so that nothing is allocated. */
class PagemapFields {
  readonly #file: string;
  /** The message. */
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  /** Where it begins in the file. */
  #start = 0;
  #type = "";
  /** The last varint as a number, which has lost its low bits from 2^53 on. */
  #value = 0;
  /** Where field 1 begins, to read it again where it is too large for a number. */
  #firstAt = 0;
  hasFirst = false;
  first = 0;
  compatPages = -1;
  pages = -1;
  #inParent = false;
  #flags = -1;

  constructor(file: string) {
    this.#file = file;
  }

  read({ start, bytes, at, end }: ReturnType<FrameReader["frame"]>, type: string): void {
    this.#bytes = bytes;
    this.#start = start;
    this.#at = at;
    this.#end = end;
    this.#type = type;
    this.hasFirst = this.#inParent = false;
    this.compatPages = this.pages = this.#flags = -1;
    while (this.#at < end) {
      this.#varint();
      const tag = this.#value;
      if ((tag & 7) !== 0) {
        this.#skip(tag);
        continue;
      }
      const at = this.#at;
      this.#varint();
      switch (tag) {
        case 0x08:
          this.hasFirst = true;
          this.#firstAt = at;
          this.first = this.#value;
          break;
        case 0x10:
          this.compatPages = this.#value >>> 0;
          break;
        case 0x18:
          this.#inParent = this.#value !== 0;
          break;
        case 0x20:
          this.#flags = this.#value >>> 0;
          break;
        case 0x28:
          this.pages = this.#value;
          break;
      }
    }
  }

  effectiveFlags(): number {
    const flags = Math.max(this.#flags, 0);
    if (this.#inParent) return flags | PE_PARENT;
    return this.#flags < 0 ? PE_PRESENT : flags;
  }

  firstBig(): bigint {
    if (this.first <= Number.MAX_SAFE_INTEGER) return BigInt(this.first);
    let value = 0n;
    for (let at = this.#firstAt, shift = 0n;; at++, shift += 7n) {
      const byte = this.#bytes[at]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
  }

  #varint(): void {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++, scale *= 128) {
      if (this.#at >= this.#end) break;
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.#value = value;
        return;
      }
    }
    throw badImage(this.#file, this.#start, `what should be a ${this.#type} is none (cut varint)`);
  }

  /** Steps over a field of another wire type, which no known field has. */
  #skip(tag: number): void {
    const wire = tag & 7;
    if (wire === 2) this.#varint();
    const size = wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? this.#value : Infinity;
    if (size > this.#end - this.#at) {
      throw badImage(
        this.#file,
        this.#start,
        `what should be a ${this.#type} is none (wire type ${wire})`,
      );
    }
    this.#at += size;
  }
}
