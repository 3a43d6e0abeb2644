/**
 * The framing of images, on bytes: `{common magic, type magic, {u32 size, message, extra}*}`, all numbers
 * little-endian. The inventory has its type magic alone. What is decoded counts as hostile: every way in
 * which a file can be wrong is a {@link StasisError} `bad-image` that says in one sentence where and what.
 *
 * @module
 */

import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { configureTextEncoding } from "@bufbuild/protobuf/wire";
import { decodeBytes, encodeBytes } from "../base/byte_text.ts";
import { StasisError } from "../base/errors.ts";
import { type ExtraFormat, headMagics, type ImageKind } from "./kind.ts";
import { IMG_COMMON_MAGIC, magicName } from "./magic.ts";
import { missingRequired } from "./required.ts";
import { findText } from "./text.ts";

// Linux's names are bytes, and the format's `string` fields hold them as they are (proto2 checks none).
configureTextEncoding({
  encodeUtf8: encodeBytes,
  decodeUtf8: decodeBytes,
  checkUtf8: () => true,
});

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
  if (kind.extra.length(whole, data) !== data.length) {
    throw new StasisError(
      "internal",
      `The ${data.length} bytes to follow a ${kind.schema.typeName} are not what the message announces`,
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
  const frames = new FrameReader(bytes, file);
  frames.magics(kind);
  let head: MessageShape<DescMessage> | undefined;
  if (kind.head !== undefined) {
    if (frames.atEnd) {
      throw badImage(file, frames.offset, `it ends where a ${kind.head.typeName} must begin`);
    }
    head = frames.message(kind.head);
  }
  const entries: ImageEntry<Schema>[] = [];
  while (!frames.atEnd) {
    if (!kind.list && entries.length === 1) {
      throw badImage(
        file,
        frames.offset,
        `${
          bytes.length - frames.offset
        } bytes follow the one ${kind.schema.typeName} that it holds`,
      );
    }
    const message = frames.message(kind.schema);
    entries.push(
      kind.extra === undefined
        ? { message }
        : { message, extra: frames.extra(kind.extra, kind.schema, message) },
    );
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

/** Walks through the frames of a file. */
export class FrameReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  /** The next byte to read. */
  offset = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  /** Whether everything was read. */
  get atEnd(): boolean {
    return this.offset === this.#bytes.length;
  }

  /** Reads the head. */
  magics(kind: ImageKind): void {
    for (const expected of headMagics(kind)) {
      if (this.#bytes.length - this.offset < 4) {
        throw badImage(
          this.#file,
          this.offset,
          `the head of ${
            article(kind.name)
          } ${kind.name} image is cut after ${this.#bytes.length} bytes`,
        );
      }
      const found = this.#view.getUint32(this.offset, true);
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

  /** Reads the bytes of one frame, and says where they begin. */
  frame(typeName: string): { readonly start: number; readonly end: number } {
    const left = this.#bytes.length - this.offset;
    if (left < 4) {
      throw badImage(
        this.#file,
        this.offset,
        `expected the size of a ${typeName} (4 bytes), found the last ${left}`,
      );
    }
    const size = this.#view.getUint32(this.offset, true);
    if (size > left - 4) {
      throw badImage(
        this.#file,
        this.offset,
        `a ${typeName} should be ${size} bytes long, but ${left - 4} are left`,
      );
    }
    const start = this.offset + 4;
    this.offset = start + size;
    return { start, end: this.offset };
  }

  /** Reads a message, with all of its required fields. */
  message<Schema extends DescMessage>(schema: Schema): MessageShape<Schema> {
    const { start, end } = this.frame(schema.typeName);
    let message: MessageShape<Schema>;
    try {
      message = fromBinary(schema, this.#bytes.subarray(start, end));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw badImage(this.#file, start, `what should be a ${schema.typeName} is none (${why})`);
    }
    const missing = missingRequired(schema, message);
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

  /** Reads what follows a message. */
  extra<Schema extends DescMessage>(
    format: ExtraFormat<MessageShape<Schema>>,
    schema: Schema,
    message: MessageShape<Schema>,
  ): Uint8Array {
    const rest = this.#bytes.subarray(this.offset);
    const length = format.length(message, rest);
    if (length === undefined) {
      throw badImage(
        this.#file,
        this.offset,
        `what follows the ${schema.typeName} does not have the form that it announces`,
      );
    }
    if (length > rest.length) {
      throw badImage(
        this.#file,
        this.offset,
        `${length} bytes should follow the ${schema.typeName}, but ${rest.length} are left`,
      );
    }
    this.offset += length;
    return rest.subarray(0, length);
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
