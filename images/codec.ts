/**
 * The framing of images, on bytes: `{common magic, type magic, {u32 size, message, extra}*}`, all numbers
 * little-endian. The inventory has its type magic alone. What is decoded counts as hostile: every way in
 * which a file can be wrong is a {@link StasisError} `bad-image` that says in one sentence where and what.
 *
 * @module
 */

import { create, type DescMessage, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { configureTextEncoding } from "@bufbuild/protobuf/wire";
import { decodeBytes, encodeBytes } from "../base/byte_text.ts";
import { StasisError } from "../base/errors.ts";
import { type ByteSource, MemorySource, partOf } from "./byte_source.ts";
import { type ExtraFormat, headMagics, type ImageKind } from "./kind.ts";
import { IMG_COMMON_MAGIC, magicName } from "./magic.ts";
import { type Decoded, decodeMessage } from "./flat.ts";
import { missingRequired } from "./required.ts";
import { findText } from "./text.ts";

// Linux's names are bytes, and the format's `string` fields hold them as they are (proto2 checks none).
configureTextEncoding({
  encodeUtf8: encodeBytes,
  decodeUtf8: decodeBytes,
  checkUtf8: () => true,
});

/** No message is larger, in bytes: an address space of two million mappings has one of half as much. */
const MAX_MESSAGE = 1 << 28;

/** A message of an image with the bytes that follow it. */
export interface ImageEntry<Schema extends DescMessage = DescMessage> {
  /** The message. */
  readonly message: MessageShape<Schema>;
  /** The bytes behind it; present where the kind has such. */
  readonly extra?: Uint8Array;
}

/** What an image file holds. */
export interface DecodedImage<Schema extends DescMessage = DescMessage> {
  /** The first message, where the kind has another schema for it. */
  readonly head?: MessageShape<DescMessage>;
  /** The messages. */
  readonly entries: readonly ImageEntry<Schema>[];
}

/** The head of a file: its magic numbers. */
export function encodeHead(kind: ImageKind): Uint8Array {
  return new Uint8Array(new Uint32Array(headMagics(kind)).buffer);
}

/**
 * One frame: size, message, extra.
 *
 * @param kind What the frame is for.
 * @param message The message, or a plain object with its fields.
 * @param extra What follows the message; needed exactly where the kind has an extra.
 * @throws {StasisError} `internal` where a required field is missing, a value is out of its type's range, or
 * the extra is not of the length that the message gives.
 */
export function encodeEntry<Schema extends DescMessage>(
  kind: ImageKind<Schema>,
  message: MessageInitShape<Schema>,
  extra?: Uint8Array,
): Uint8Array {
  const whole = create(kind.schema, message);
  const bytes = encodeMessage(kind.name, kind.schema, whole);
  if (kind.extra === undefined) {
    if (extra !== undefined) throw new StasisError("internal", `${kind.name} images have no extra`);
    return bytes;
  }
  const data = extra ?? new Uint8Array();
  if (kind.extra.length(whole, new MemorySource(data)) !== data.length) {
    throw new StasisError(
      "internal",
      `the ${data.length} bytes to follow a ${kind.schema.typeName} are not what the message announces`,
    );
  }
  return concat([bytes, data]);
}

/**
 * A message with its size before it.
 *
 * @throws {StasisError} `internal` where it cannot be encoded.
 */
export function encodeMessage(
  name: string,
  schema: DescMessage,
  message: MessageShape<DescMessage>,
): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = toBinary(schema, message);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new StasisError("internal", `A message for an image of kind ${name} is wrong: ${why}`, {
      cause,
    });
  }
  const zero = findText(schema, message, (text) => text.includes("\0"));
  if (zero !== undefined) {
    throw new StasisError(
      "internal",
      `A message for an image of kind ${name} is wrong: ${JSON.stringify(zero)} has a zero in it`,
    );
  }
  if (bytes.length > MAX_MESSAGE) {
    throw new StasisError(
      "unsupported",
      `a ${schema.typeName} of ${bytes.length} bytes is too large for an image of kind ${name}`,
    );
  }
  const frame = new Uint8Array(4 + bytes.length);
  new DataView(frame.buffer).setUint32(0, bytes.length, true);
  frame.set(bytes, 4);
  return frame;
}

/**
 * A whole file with one message.
 *
 * @throws {StasisError} As {@link encodeEntry}.
 */
export function encodeFile<Schema extends DescMessage>(
  kind: ImageKind<Schema>,
  message: MessageInitShape<Schema>,
): Uint8Array {
  return concat([encodeHead(kind), encodeEntry(kind, message)]);
}

/**
 * A whole file.
 *
 * @throws {StasisError} As {@link encodeEntry}.
 */
export function encodeImage<Schema extends DescMessage>(
  kind: ImageKind<Schema>,
  image: DecodedImage<Schema>,
): Uint8Array {
  const parts = [encodeHead(kind)];
  if (kind.head !== undefined && image.head !== undefined) {
    parts.push(encodeMessage(kind.name, kind.head, image.head));
  }
  for (const { message, extra } of image.entries) {
    parts.push(encodeEntry(kind, message as MessageInitShape<Schema>, extra));
  }
  return concat(parts);
}

/** A message of an image, and where in the file the bytes are that follow it. */
export interface LocatedEntry<Schema extends DescMessage = DescMessage> {
  /** The message. */
  readonly message: MessageShape<Schema>;
  /** Where the bytes behind it begin, from the beginning of the file. */
  readonly offset: number;
  /** How many there are; 0 where the kind has none. */
  readonly size: number;
}

/** An image file of which what follows the messages was left where it is. */
export interface LocatedImage<Schema extends DescMessage = DescMessage> {
  /** The first message, where the kind has another schema for it. */
  readonly head?: MessageShape<DescMessage>;
  /** The messages. */
  readonly entries: readonly LocatedEntry<Schema>[];
}

/**
 * Decodes a whole file.
 *
 * @param kind What it should be.
 * @param bytes The file's contents.
 * @param file Its name, for errors.
 * @throws {StasisError} `bad-image` where it is anything else than a whole file of this kind.
 */
export function decodeImage<Schema extends DescMessage>(
  kind: ImageKind<Schema>,
  bytes: Uint8Array,
  file: string,
): DecodedImage<Schema> {
  const { head, entries: located } = locateImage(kind, new MemorySource(bytes), file);
  const entries = located.map(({ message, offset, size }): ImageEntry<Schema> =>
    kind.extra === undefined
      ? { message }
      : { message, extra: bytes.subarray(offset, offset + size) }
  );
  return head === undefined ? { entries } : { head, entries };
}

/**
 * Decodes the messages of a whole file, and finds out where what follows them is.
 *
 * @param kind What it should be.
 * @param source The file's contents.
 * @param file Its name, for errors.
 * @throws {StasisError} As {@link decodeImage}.
 */
export function locateImage<Schema extends DescMessage>(
  kind: ImageKind<Schema>,
  source: ByteSource,
  file: string,
): LocatedImage<Schema> {
  const frames = new FrameReader(source, file);
  frames.magics(kind);
  let head: MessageShape<DescMessage> | undefined;
  if (kind.head !== undefined) {
    if (frames.atEnd) {
      throw badImage(file, frames.offset, `it ends where a ${kind.head.typeName} must begin`);
    }
    head = frames.message(kind.head);
  }
  const entries: LocatedEntry<Schema>[] = [];
  while (!frames.atEnd) {
    if (!kind.list && entries.length === 1) {
      throw badImage(
        file,
        frames.offset,
        `${source.size - frames.offset} bytes follow the one ${kind.schema.typeName} that it holds`,
      );
    }
    const message = frames.message(kind.schema);
    const { offset } = frames;
    const size = kind.extra === undefined ? 0 : frames.extra(kind.extra, kind.schema, message);
    entries.push({ message, offset, size });
  }
  if (!kind.list && entries.length === 0) {
    throw badImage(file, frames.offset, `it ends where a ${kind.schema.typeName} must begin`);
  }
  return head === undefined ? { entries } : { head, entries };
}

/** The error for a file that is not what it should be. */
export function badImage(file: string, offset: number, what: string): StasisError {
  return new StasisError("bad-image", `${file} is damaged at byte ${offset}: ${what}`, {
    hint: "the image was cut, changed or written by something else: make the checkpoint again",
  });
}

/** So much of a file is asked for at once, in bytes. */
const WINDOW = 1 << 18;

/** Walks through the frames of a file. */
export class FrameReader {
  readonly #source: ByteSource;
  readonly #file: string;
  /** What was read last, and where it begins: frames are small, and there may be millions. */
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;
  /** The next byte to read. */
  offset = 0;

  constructor(source: ByteSource, file: string) {
    this.#source = source;
    this.#file = file;
  }

  /** Whether everything was read. */
  get atEnd(): boolean {
    return this.offset === this.#source.size;
  }

  /** Reads the head. */
  magics(kind: ImageKind): void {
    for (const expected of headMagics(kind)) {
      if (this.#source.size - this.offset < 4) {
        throw badImage(
          this.#file,
          this.offset,
          `the head of ${
            article(kind.name)
          } ${kind.name} image is cut after ${this.#source.size} bytes`,
        );
      }
      const found = this.#word();
      if (found !== expected) {
        throw badImage(
          this.#file,
          this.offset,
          `expected the magic ${describeMagic(expected)}, found ${describeMagic(found)}`,
        );
      }
      this.offset += 4;
    }
  }

  #word(): number {
    const at = this.#find(this.offset, 4);
    const bytes = this.#window;
    return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
  }

  /** Sees to it that a part of the file is in the window. @returns where in it */
  #find(offset: number, length: number): number {
    const at = offset - this.#start;
    if (at >= 0 && at + length <= this.#window.length) return at;
    const left = this.#source.size - offset;
    this.#window = this.#source.read(offset, Math.min(Math.max(length, WINDOW), left));
    this.#start = offset;
    return 0;
  }

  /** Reads one frame: where its bytes are, and where they begin in the file. */
  frame(
    typeName: string,
  ): {
    readonly start: number;
    readonly bytes: Uint8Array;
    readonly at: number;
    readonly end: number;
  } {
    const left = this.#source.size - this.offset;
    if (left < 4) {
      throw badImage(
        this.#file,
        this.offset,
        `expected the size of a ${typeName} (4 bytes), found the last ${left}`,
      );
    }
    const size = this.#word();
    if (size > left - 4) {
      throw badImage(
        this.#file,
        this.offset,
        `a ${typeName} should be ${size} bytes long, but ${left - 4} are left`,
      );
    }
    if (size > MAX_MESSAGE) {
      throw badImage(this.#file, this.offset, `a ${typeName} of ${size} bytes is too large`);
    }
    const start = this.offset + 4;
    this.offset = start + size;
    const at = this.#find(start, size);
    return { start, bytes: this.#window, at, end: at + size };
  }

  /** Reads a message, with all of its required fields. */
  message<Schema extends DescMessage>(schema: Schema): MessageShape<Schema> {
    const { start, bytes, at, end } = this.frame(schema.typeName);
    let decoded: Decoded<Schema>;
    try {
      decoded = decodeMessage(schema, bytes.subarray(at, end));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw badImage(this.#file, start, `what should be a ${schema.typeName} is none (${why})`);
    }
    const { message, complete } = decoded;
    const missing = missingRequired(schema, message, complete);
    if (missing !== undefined) {
      throw badImage(
        this.#file,
        start,
        `the ${missing.message} lacks its required field ${missing.field}`,
      );
    }
    const zero = findText(schema, message, (text) => text.includes("\0"));
    if (zero !== undefined) {
      // Every text is a name or a path, which ends at its first zero.
      throw badImage(this.#file, start, `the ${schema.typeName} has text with a zero in it`);
    }
    return message;
  }

  /** Steps over what follows a message. @returns how many bytes it is */
  extra<Schema extends DescMessage>(
    format: ExtraFormat<MessageShape<Schema>>,
    schema: Schema,
    message: MessageShape<Schema>,
  ): number {
    const left = this.#source.size - this.offset;
    const length = format.length(message, partOf(this.#source, this.offset, left));
    if (length === undefined) {
      throw badImage(
        this.#file,
        this.offset,
        `what follows the ${schema.typeName} does not have the form that it announces`,
      );
    }
    if (length > left) {
      throw badImage(
        this.#file,
        this.offset,
        `${length} bytes should follow the ${schema.typeName}, but ${left} are left`,
      );
    }
    this.offset += length;
    return length;
  }
}

function article(name: string): string {
  return /^[AEIOU]/.test(name) ? "an" : "a";
}

function describeMagic(magic: number): string {
  const name = magic === IMG_COMMON_MAGIC ? "common to all images" : magicName(magic);
  return `0x${magic.toString(16).padStart(8, "0")}${name === undefined ? "" : ` (${name})`}`;
}

/** Puts pieces of bytes together. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
