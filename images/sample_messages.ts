/**
 * Test support: a message of any type with every field set, for round trips.
 *
 * @module
 */

import { create, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { concat, type ImageEntry } from "./codec.ts";
import type { ImageId, ImageKind } from "./kind.ts";
import { encodeQueued } from "./sysv_messages.ts";

/** A message with every field set to something that is not its default; lists have two elements. */
export function sampleMessage(schema: DescMessage): MessageShape<DescMessage> {
  return new Sampler().message(schema);
}

class Sampler {
  #count = 0;
  /** The messages that the one which is made is in, each inside of the one before. */
  readonly #within: DescMessage[] = [];

  message(schema: DescMessage): MessageShape<DescMessage> {
    const init: Record<string, unknown> = {};
    this.#within.push(schema);
    for (const field of schema.fields) {
      // One that has others of its kind in it has them once.
      if (this.#within.filter((one) => one === field.message).length > 1) continue;
      init[field.localName] = field.fieldKind === "list"
        ? [this.#value(field), this.#value(field)]
        : this.#value(field);
    }
    this.#within.pop();
    return create(schema, init as MessageInitShape<DescMessage>);
  }

  #value(field: DescField): unknown {
    this.#count++;
    if (field.message !== undefined) return this.message(field.message);
    if (field.enum !== undefined) return (field.enum.values[1] ?? field.enum.values[0]!).number;
    switch (field.scalar) {
      case ScalarType.STRING:
        return `${field.name}-${this.#count}`;
      case ScalarType.BYTES:
        return new TextEncoder().encode(`${field.name}_${this.#count}`);
      case ScalarType.BOOL:
        return true;
      case ScalarType.INT32:
      case ScalarType.SINT32:
        return -1000 - this.#count;
      case ScalarType.INT64:
      case ScalarType.SINT64:
        return -(1n << 40n) - BigInt(this.#count);
      case ScalarType.UINT32:
      case ScalarType.FIXED32:
        return 0x80000000 + this.#count;
      default:
        return (1n << 50n) + BigInt(this.#count);
    }
  }
}

const TEXT = new TextEncoder().encode("hello");

/** The fields that say how much follows, and what follows, of the kinds that have extras. */
const EXTRAS: Readonly<Record<string, readonly [Readonly<Record<string, unknown>>, Uint8Array]>> = {
  PIPES_DATA: [{ bytes: 5 }, TEXT],
  FIFO_DATA: [{ bytes: 5 }, TEXT],
  SK_QUEUES: [{ length: 5 }, TEXT],
  TCP_STREAM: [{ inqLen: 2, outqLen: 3 }, TEXT],
  GHOST_FILE: [{ chunks: false }, concat([TEXT, TEXT])],
  IPCNS_SHM: [{ size: 5n, inPagemaps: false }, concat([TEXT, new Uint8Array(3)])],
  IPCNS_SEM: [{ nsems: 3 }, new Uint8Array(Uint16Array.of(1, 2, 0x7fff, 0).buffer)],
  IPCNS_MSG: [{ qnum: 1 }, encodeQueued([{ type: 7n, text: TEXT }])],
};

/** An entry for a kind: {@link sampleMessage} with an extra that fits. */
export function sampleEntry<Schema extends DescMessage>(
  kind: ImageKind<Schema>,
): ImageEntry<Schema> {
  const message = sampleMessage(kind.schema) as MessageShape<Schema>;
  if (kind.extra === undefined) return { message };
  const sample = EXTRAS[kind.name];
  if (sample === undefined) throw new Error(`${kind.name} needs a sample of its extra`);
  return { message: Object.assign(message, sample[0]), extra: sample[1] };
}

/** An id that a kind's file names take. */
export function sampleId(kind: ImageKind): ImageId {
  if (kind.file.includes("%lu")) return 0xffff_ffff_ffffn;
  return kind.file.includes("%") ? 4711 : null;
}
