/**
 * The types of the running kernel: `/sys/kernel/btf/vmlinux` tells of every structure where each field lies
 * (CONFIG_DEBUG_INFO_BTF). Source: Documentation/bpf/btf.rst, `include/uapi/linux/btf.h`.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";

const MAGIC = 0xeb9f;
/** Kinds of type: BTF_KIND_*. */
const STRUCT = 4, UNION = 5;
/** Kinds that only add to another type: TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG. */
const MODIFIERS: ReadonlySet<number> = new Set([8, 9, 10, 11, 18]);
/** How many bytes follow a type, by its kind: always, and for each of its `vlen` parts. */
const TAILS: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [4, 0], // INT
  3: [12, 0], // ARRAY
  4: [0, 12], // STRUCT
  5: [0, 12], // UNION
  6: [0, 8], // ENUM
  13: [0, 8], // FUNC_PROTO
  14: [4, 0], // VAR
  15: [0, 12], // DATASEC
  17: [4, 0], // DECL_TAG
  19: [0, 12], // ENUM64
};
/** A type's name, info and size; a member's name, type and offset. */
const HEAD = 12, MEMBER = 12;

/** The structures of a kernel. */
export class KernelTypes {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #strings: number;
  /** Where each type is, by its number, from 1. */
  readonly #types: number[] = [0];
  readonly #byName = new Map<string, number>();

  /** @param bytes of `/sys/kernel/btf/vmlinux` @throws {StasisError} `unsupported` of what is none */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const view = this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 24 || view.getUint16(0, true) !== MAGIC) throw unknown("its types");
    const header = view.getUint32(4, true);
    this.#strings = header + view.getUint32(16, true);
    const start = header + view.getUint32(8, true);
    const end = start + view.getUint32(12, true);
    for (let at = start; at < end;) {
      const info = view.getUint32(at + 4, true);
      const [fixed, each] = TAILS[kindOf(info)] ?? [0, 0];
      if (kindOf(info) === STRUCT) this.#byName.set(this.#name(at), at);
      this.#types.push(at);
      at += HEAD + fixed + each * (info & 0xffff);
    }
  }

  /** How large a structure is, in bytes. @throws {StasisError} `unsupported` where there is none of that name */
  size(struct: string): number {
    return this.#view.getUint32(this.#find(struct) + 8, true);
  }

  /** Where a field of a structure lies, in bytes from its begin. @throws {StasisError} `unsupported` where there is none */
  offset(struct: string, field: string): bigint {
    const bits = this.#bits(this.#find(struct), field);
    if (bits === undefined || bits % 8 !== 0) throw unknown(`${struct}.${field}`);
    return BigInt(bits / 8);
  }

  #find(struct: string): number {
    const at = this.#byName.get(struct);
    if (at === undefined) throw unknown(`struct ${struct}`);
    return at;
  }

  /** The offset of a field in bits, also of one within a part that has no name. */
  #bits(at: number, field: string): number | undefined {
    const info = this.#view.getUint32(at + 4, true);
    for (let index = 0; index < (info & 0xffff); index++) {
      const member = at + HEAD + index * MEMBER;
      // Of structures with bit fields (kind_flag) the high byte is the number of bits.
      const offset = this.#view.getUint32(member + 8, true) &
        (info >>> 31 ? 0xff_ffff : 0xffff_ffff);
      const name = this.#name(member);
      if (name === field) return offset;
      if (name !== "") continue;
      const inner = this.#plain(this.#view.getUint32(member + 4, true));
      const found = inner === undefined ? undefined : this.#bits(inner, field);
      if (found !== undefined) return offset + found;
    }
    return undefined;
  }

  /** Where a structure or union is that a type stands for. */
  #plain(type: number): number | undefined {
    const at = this.#types[type] ?? 0;
    if (at === 0) return undefined;
    const kind = kindOf(this.#view.getUint32(at + 4, true));
    if (MODIFIERS.has(kind)) return this.#plain(this.#view.getUint32(at + 8, true));
    return kind === STRUCT || kind === UNION ? at : undefined;
  }

  #name(at: number): string {
    const start = this.#strings + this.#view.getUint32(at, true);
    const end = this.#bytes.indexOf(0, start);
    return String.fromCharCode(...this.#bytes.subarray(start, end));
  }
}

function kindOf(info: number): number {
  return info >>> 24 & 0x1f;
}

function unknown(what: string): StasisError {
  return new StasisError("unsupported", `this kernel does not tell of ${what} (BTF)`);
}
