/**
 * Kernel structures described once, as data (field, offset, type), and read and written through that
 * description. Everything is little-endian: the only byte order of the architectures Stasis knows.
 *
 * @module
 */

interface ScalarTypes {
  u8: number;
  u16: number;
  u32: number;
  i32: number;
  u64: bigint;
  i64: bigint;
}
type Scalar = keyof ScalarTypes;

const SIZES: Readonly<Record<Scalar, number>> = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 };

/** A description: each field's offset in bytes and type. */
export type Layout = Readonly<Record<string, readonly [offset: number, type: Scalar]>>;

/** The plain object that a structure of this description is read into. */
export type Fields<L extends Layout> = { -readonly [K in keyof L]: ScalarTypes[L[K][1]] };

/** A kernel structure. */
export interface Struct<L extends Layout> {
  /** Its C name, for messages. */
  readonly name: string;
  /** Its size in bytes. */
  readonly size: number;
  /** Reads one at `offset` of `bytes`. @throws {RangeError} where it would pass the end */
  read(bytes: Uint8Array, offset?: number): Fields<L>;
  /** Writes the named fields at `offset` of `bytes`, and leaves the others as they are. */
  write(bytes: Uint8Array, fields: Partial<Fields<L>>, offset?: number): void;
  /** A new zeroed structure with the named fields set. */
  make(fields: Partial<Fields<L>>): Uint8Array;
}

/**
 * Describes a kernel structure.
 *
 * @param name its C name
 * @param size its size in bytes
 * @param layout each field's offset and type
 * @throws {RangeError} if a field does not lie within the size
 *
 * @example
 * ```ts
 * import { defineStruct } from "./struct.ts";
 * const timespec = defineStruct("timespec", 16, { sec: [0, "i64"], nsec: [8, "i64"] });
 * const bytes = timespec.make({ sec: 1n, nsec: 5n });
 * console.log(timespec.read(bytes).sec); // 1n
 * ```
 */
export function defineStruct<const L extends Layout>(
  name: string,
  size: number,
  layout: L,
): Struct<L> {
  const fields = Object.entries(layout);
  for (const [field, [offset, type]] of fields) {
    if (offset + SIZES[type] > size) throw new RangeError(`${name}.${field} lies outside`);
  }
  const viewOf = (bytes: Uint8Array, offset: number): DataView => {
    if (offset < 0 || offset + size > bytes.byteLength) {
      throw new RangeError(`${name} needs ${size} bytes at ${offset} of ${bytes.byteLength}`);
    }
    return new DataView(bytes.buffer, bytes.byteOffset + offset, size);
  };
  const struct: Struct<L> = {
    name,
    size,
    read(bytes, offset = 0) {
      const view = viewOf(bytes, offset);
      const result: Record<string, number | bigint> = {};
      for (const [field, [at, type]] of fields) result[field] = get(view, at, type);
      return result as Fields<L>;
    },
    write(bytes, values, offset = 0) {
      const view = viewOf(bytes, offset);
      for (const [field, value] of Object.entries(values)) {
        const entry = layout[field];
        if (entry === undefined) throw new RangeError(`${name} has no field ${field}`);
        if (value !== undefined) set(view, entry[0], entry[1], value as number | bigint);
      }
    },
    make(values) {
      const bytes = new Uint8Array(size);
      struct.write(bytes, values);
      return bytes;
    },
  };
  return struct;
}

function get(view: DataView, at: number, type: Scalar): number | bigint {
  switch (type) {
    case "u8":
      return view.getUint8(at);
    case "u16":
      return view.getUint16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "i32":
      return view.getInt32(at, true);
    case "u64":
      return view.getBigUint64(at, true);
    case "i64":
      return view.getBigInt64(at, true);
  }
}

function set(view: DataView, at: number, type: Scalar, value: number | bigint): void {
  switch (type) {
    case "u8":
      return view.setUint8(at, Number(value));
    case "u16":
      return view.setUint16(at, Number(value), true);
    case "u32":
      return view.setUint32(at, Number(value), true);
    case "i32":
      return view.setInt32(at, Number(value), true);
    case "u64":
      return view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
    case "i64":
      return view.setBigInt64(at, BigInt.asIntN(64, BigInt(value)), true);
  }
}
