/**
 * Decoding long lists of messages that have numbers alone: an address space has a hundred thousand mappings. The general
 * decoder takes five times as long for them, and so does looking for required fields that they lack. Whatever is not as
 * expected is left to that one, so that nothing is decoded otherwise.
 *
 * @module
 */

import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import { LEGACY_REQUIRED } from "./required.ts";

/** Of thousands of mappings most have small numbers in most fields: each is there once. */
const SMALL = Array.from({ length: 64 }, (_, value) => BigInt(value));
const MINUS_ONE = -1n;

/** What becomes of a number of a field, by its type. */
const NUMBERS: Partial<Record<ScalarType, (value: number, wide: bigint | undefined) => unknown>> = {
  [ScalarType.UINT64]: (value, wide) => wide ?? SMALL[value] ?? BigInt(value),
  [ScalarType.SINT64]: (value, wide) => {
    // Zigzag: the sign is in the lowest bit.
    if (wide !== undefined) return BigInt.asIntN(64, (wide >> 1n) ^ -(wide & 1n));
    if (value === 1) return MINUS_ONE;
    return BigInt(value % 2 === 0 ? value / 2 : -(value + 1) / 2);
  },
  [ScalarType.UINT32]: (value, wide) => wide === undefined && value < 2 ** 32 ? value : undefined,
};

/** How the messages of a list are decoded; worked out once for each type. */
interface Plan {
  /** The list, and its number. */
  readonly list: string;
  readonly number: number;
  readonly typeName: string;
  /** Makes an empty one. By its constructor V8 knows how much room the fields take. */
  readonly Message: new () => Record<string, unknown>;
  /** By their numbers. */
  readonly fields: ReadonlyMap<
    number,
    {
      readonly name: string;
      readonly convert: (value: number, wide: bigint | undefined) => unknown;
      /** Its bit among the required ones; 0 if it is optional. */
      readonly bit: number;
    }
  >;
  /** The bits of all required fields. */
  readonly required: number;
  /** The kinds of the fields beside the list, and of the list, by their numbers. */
  readonly wires: ReadonlyMap<number, readonly number[]>;
}

const plans = new WeakMap<DescMessage, Plan | null>();

function planOf(schema: DescMessage): Plan | null {
  let plan = plans.get(schema);
  if (plan === undefined) {
    const list = schema.fields.find((field) =>
      field.fieldKind === "list" && field.message?.fields.every(isNumber)
    );
    plans.set(
      schema,
      plan = list?.message === undefined ? null : makePlan(schema, list, list.message),
    );
  }
  return plan;
}

function isNumber({ fieldKind, scalar }: DescField): boolean {
  return fieldKind === "scalar" && NUMBERS[scalar] !== undefined;
}

function makePlan(
  schema: DescMessage,
  list: DescField,
  { fields, typeName }: DescMessage,
): Plan | null {
  if (fields.length > 30) return null; // as many bits as a number has
  let required = 0;
  const byNumber = fields.map((field, index) => {
    const bit = field.presence === LEGACY_REQUIRED ? 1 << index : 0;
    required |= bit;
    const convert = NUMBERS[field.scalar as ScalarType] as NonNullable<typeof NUMBERS[ScalarType]>;
    return [field.number, { name: field.localName, convert, bit }] as const;
  });
  const Message = function () {} as unknown as new () => Record<string, unknown>;
  Message.prototype = Object.getPrototypeOf(create(list.message as DescMessage));
  return {
    list: list.localName,
    number: list.number,
    typeName,
    Message,
    fields: new Map(byNumber),
    required,
    wires: new Map(schema.fields.map((field) => [field.number, wiresOf(field)])),
  };
}

/** From this size on a message is worth a look, in bytes. */
const WORTH = 256;

/** A decoded message. */
export interface Decoded<Schema extends DescMessage> {
  readonly message: MessageShape<Schema>;
  /** A list all of whose messages have their required fields, if there is one. */
  readonly complete?: string;
}

/** Decodes a message. @throws as `fromBinary()` */
export function decodeMessage<Schema extends DescMessage>(
  schema: Schema,
  bytes: Uint8Array,
): Decoded<Schema> {
  const plan = bytes.length < WORTH ? null : planOf(schema);
  const found = plan === null ? undefined : new FlatReader(bytes).read(plan);
  if (plan === null || found === undefined) return { message: fromBinary(schema, bytes) };
  const message = fromBinary(schema, found.rest);
  (message as unknown as Record<string, unknown>)[plan.list] = found.messages;
  return { message, complete: plan.list };
}

const VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5;
/** So many bytes of seven bits a number holds exactly. */
const NARROW = 7;
/** So many bytes the number and kind of a field have at the most. */
const LONGEST_TAG = 5;

/** The kinds other than {@link VARINT} of scalars. */
const WIRES: Partial<Record<ScalarType, number>> = {
  [ScalarType.STRING]: LENGTH,
  [ScalarType.BYTES]: LENGTH,
  [ScalarType.FIXED32]: FIXED32,
  [ScalarType.SFIXED32]: FIXED32,
  [ScalarType.FLOAT]: FIXED32,
  [ScalarType.FIXED64]: FIXED64,
  [ScalarType.SFIXED64]: FIXED64,
  [ScalarType.DOUBLE]: FIXED64,
};

/** The kinds that a field can have: the general decoder reads one of another kind as if it were of its own. */
function wiresOf({ fieldKind, scalar, message }: DescField): readonly number[] {
  if (message !== undefined || fieldKind === "map") return [LENGTH];
  const own = scalar === undefined ? VARINT : WIRES[scalar] ?? VARINT;
  return fieldKind === "list" ? [own, LENGTH] : [own];
}

/** Whether a field may be of a kind. @param known the kinds that it can have; undefined of one that is not known */
function isExpected(known: readonly number[] | undefined, wire: number): boolean {
  return known === undefined || known.includes(wire);
}

/**
 * Reads numbers of variable length. Behind the end of the bytes it reads zeros, and goes on, and behind a number that
 * is too long it stands nowhere (NaN): its user looks at the end.
 */
class FlatReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** What {@link #number} read, where that is more than a number holds exactly. */
  #wide: bigint | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The messages of the list, and all else; undefined where there is anything that is not as expected. */
  read(plan: Plan): { readonly messages: object[]; readonly rest: Uint8Array } | undefined {
    const bytes = this.#bytes;
    const messages: object[] = [];
    const rest: Uint8Array[] = [];
    let size = 0;
    while (this.#at < bytes.length) {
      const start = this.#at;
      const tag = this.#tag();
      if (tag === undefined) return undefined;
      const wire = tag & 7;
      if (!isExpected(plan.wires.get(tag >>> 3), wire)) return undefined;
      const length = wire === LENGTH
        ? this.#number()
        : wire === FIXED64
        ? 8
        : wire === FIXED32
        ? 4
        : 0;
      if (wire === VARINT) this.#number();
      else if (wire !== LENGTH && wire !== FIXED64 && wire !== FIXED32) return undefined;
      const end = this.#at + length;
      if (end > bytes.length) return undefined;
      if (tag === (plan.number << 3 | LENGTH)) {
        const message = this.#message(plan, end);
        if (message === undefined) return undefined;
        messages.push(message);
      } else {
        rest.push(bytes.subarray(start, end));
        size += end - start;
        this.#at = end;
      }
    }
    if (this.#at !== bytes.length) return undefined;
    const whole = new Uint8Array(size);
    let at = 0;
    for (const part of rest) {
      whole.set(part, at);
      at += part.length;
    }
    return { messages, rest: whole };
  }

  #message({ typeName, Message, fields, required }: Plan, end: number): object | undefined {
    const message = new Message();
    message.$typeName = typeName;
    let seen = 0;
    while (this.#at < end) {
      const tag = this.#tag();
      if (tag === undefined || (tag & 7) !== VARINT) return undefined;
      const field = fields.get(tag >>> 3);
      if (field === undefined) return undefined;
      const number = this.#number();
      const value = field.convert(number, this.#wide);
      if (value === undefined) return undefined;
      message[field.name] = value;
      seen |= field.bit;
    }
    return this.#at === end && seen === required ? message : undefined;
  }

  /** The number and kind of a field; undefined where that has more bytes, or is more, than it can be. */
  #tag(): number | undefined {
    const start = this.#at;
    const tag = this.#number();
    return tag < 2 ** 32 && this.#at - start <= LONGEST_TAG ? tag : undefined;
  }

  #number(): number {
    const bytes = this.#bytes;
    this.#wide = undefined;
    let value = 0, unit = 1;
    let at = this.#at;
    for (let count = 0; count < NARROW; count++) {
      const byte = bytes[at++] ?? 0;
      if (byte < 0x80) {
        this.#at = at;
        return value + byte * unit;
      }
      value += (byte & 0x7f) * unit;
      unit *= 128;
    }
    let wide = BigInt(value), shift = BigInt(7 * NARROW);
    for (;; shift += 7n) {
      const byte = bytes[at++] ?? 0;
      wide |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
      // Ten bytes hold 64 bits. Behind more there is nowhere to go on.
      if (shift >= 63n) {
        at = NaN;
        break;
      }
    }
    this.#at = at;
    this.#wide = BigInt.asUintN(64, wide);
    return NaN;
  }
}
