/**
 * Protobuf messages as trees of fields, so that any field can be changed, dropped or doubled: also into what no
 * encoder would write (required fields that are missing, numbers out of range, text that is none).
 *
 * @module
 */
import type { DescMessage } from "@bufbuild/protobuf";
import { concat } from "../../images/codec.ts";

/** A field of a message: its number and what it holds. */
export interface Field {
  number: number;
  /** An integer (varint, or of 8 or 4 bytes), bytes, or the fields of a message. */
  value: bigint | Uint8Array | Field[];
  /** How the value is written: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
  wire: 0 | 1 | 2 | 5;
}

/**
 * Reads a message.
 *
 * @param schema says which fields are messages themselves
 * @throws {RangeError} where the bytes are no message
 */
export function readFields(schema: DescMessage, bytes: Uint8Array): Field[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = tag >>> 3;
    switch (tag & 7) {
      case 0:
        fields.push({ number, wire: 0, value: varint() });
        break;
      case 1:
        fields.push({ number, wire: 1, value: view.getBigUint64(at, true) });
        at += 8;
        break;
      case 2: {
        const size = Number(varint());
        if (size > bytes.length - at) throw new RangeError("a field is cut");
        const data = bytes.slice(at, at + size);
        at += size;
        const nested = schema.fields.find((field) => field.number === number)?.message;
        const value = nested === undefined ? data : readFields(nested, data);
        fields.push({ number, wire: 2, value });
        break;
      }
      case 5:
        fields.push({ number, wire: 5, value: BigInt(view.getUint32(at, true)) });
        at += 4;
        break;
      default:
        throw new RangeError(`wire type ${tag & 7}`);
    }
  }
  return fields;
}

/** Writes a message. */
export function writeFields(fields: readonly Field[]): Uint8Array {
  return concat(fields.flatMap(({ number, wire, value }): Uint8Array[] => {
    const tag = varintOf(BigInt(number << 3 | wire));
    if (typeof value !== "bigint") {
      const data = value instanceof Uint8Array ? value : writeFields(value);
      return [tag, varintOf(BigInt(data.length)), data];
    }
    if (wire === 0) return [tag, varintOf(value)];
    const fixed = new Uint8Array(new BigUint64Array([BigInt.asUintN(64, value)]).buffer);
    return [tag, wire === 1 ? fixed : fixed.slice(0, 4)];
  }));
}

function varintOf(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (value = BigInt.asUintN(64, value); value > 0x7fn; value >>= 7n) {
    bytes.push(Number(value & 0x7fn) | 0x80);
  }
  bytes.push(Number(value));
  return Uint8Array.from(bytes);
}

/** Every field of a tree, those of messages in it too, with the list that it is in. */
export function* allFields(fields: Field[]): Generator<{ field: Field; list: Field[] }> {
  for (const field of fields) {
    yield { field, list: fields };
    if (Array.isArray(field.value)) yield* allFields(field.value);
  }
}
