/**
 * Image files as frames that can be changed one by one.
 *
 * @module
 */
import { MemorySource } from "../../images/byte_source.ts";
import { concat, encodeHead, FrameReader } from "../../images/codec.ts";
import { IMAGE_KINDS } from "../../images/all_kinds.ts";
import { imageIdOf, type ImageKind } from "../../images/kind.ts";
import { PARENT } from "../../images/parent.ts";
import { DEFAULT_PLUGINS } from "../../plugins/default.ts";
import { type Field, readFields, writeFields } from "./wire.ts";

/** A frame: a message and what follows it. */
export interface Frame {
  fields: Field[];
  extra: Uint8Array;
}

/** An image file, taken apart. */
export interface ImageFile {
  readonly kind: ImageKind;
  readonly frames: Frame[];
}

const KINDS: readonly ImageKind[] = [
  ...new Set([
    ...IMAGE_KINDS,
    ...DEFAULT_PLUGINS.flatMap(({ images = [] }) => images).filter((kind) => "schema" in kind),
  ]),
];

/** What kind of image a file is by its name; undefined where it has no frames (pages) or is none. */
export function kindOf(name: string): ImageKind | undefined {
  const kind = KINDS.find((kind) => imageIdOf(kind, name) !== undefined);
  // A checkpoint before is an image directory like any other.
  const inParent = name.startsWith(`${PARENT}/`) ? name.slice(PARENT.length + 1) : undefined;
  return kind ?? (inParent === undefined ? undefined : kindOf(inParent));
}

/** Takes a file apart. @throws where it is damaged */
export function takeApart(kind: ImageKind, bytes: Uint8Array): ImageFile {
  const reader = new FrameReader(new MemorySource(bytes), kind.file);
  reader.magics(kind);
  const frames: Frame[] = [];
  while (!reader.atEnd) {
    const schema = frames.length === 0 ? kind.head ?? kind.schema : kind.schema;
    const start = reader.offset + 4;
    const message = reader.message(schema);
    const fields = readFields(schema, bytes.subarray(start, reader.offset));
    const { offset } = reader;
    const size = schema === kind.schema && kind.extra !== undefined
      ? reader.extra(kind.extra, schema, message)
      : 0;
    const extra = bytes.slice(offset, offset + size);
    frames.push({ fields, extra });
  }
  return { kind, frames };
}

/** Puts a file together again. */
export function putTogether({ kind, frames }: ImageFile): Uint8Array {
  return concat([
    encodeHead(kind),
    ...frames.flatMap(({ fields, extra }) => {
      const message = writeFields(fields);
      return [new Uint8Array(new Uint32Array([message.length]).buffer), message, extra];
    }),
  ]);
}
