/**
 * The types of the running kernel: `/sys/kernel/btf/vmlinux` tells of every structure where each field lies
 * (CONFIG_DEBUG_INFO_BTF). Source: Documentation/bpf/btf.rst, `include/uapi/linux/btf.h`.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";

const MAGIC = 0xeb9f;
/** Kinds of type: BTF_KIND_*. */
const STRUCT = 4, UNION = 5, FUNC = 12;
/** Kinds that only add to another type: TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG. */
const MODIFIERS: ReadonlySet<number> = new Set([8, 9, 10, 11, 18]);
/** How many words follow a type, by its kind: always, and for each of its `vlen` parts. */
const TAILS: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  1: [1, 0], // INT
  3: [3, 0], // ARRAY
  4: [0, 3], // STRUCT
  5: [0, 3], // UNION
  6: [0, 2], // ENUM
  13: [0, 2], // FUNC_PROTO
  14: [1, 0], // VAR
  15: [0, 3], // DATASEC
  17: [1, 0], // DECL_TAG
  19: [0, 3], // ENUM64
};
const KINDS = 32;
const FIXED = Uint8Array.from({ length: KINDS }, (_, kind) => TAILS[kind]?.[0] ?? 0);
const EACH = Uint8Array.from({ length: KINDS }, (_, kind) => TAILS[kind]?.[1] ?? 0);
/** The header in bytes; a type's name, info and size, and a member's name, type and offset, in words. */
const HEADER = 24, HEAD = 3, MEMBER = 3;

/** The types of a kernel: 150,000 of them, of which a handful is asked for. */
export class KernelTypes {
  /** All that tells of types, as words of four bytes. */
  readonly #words: Uint32Array;
  /** Where each type begins there, by its number, from 1. */
  readonly #types: Uint32Array;
  /** The names, each with a NUL before it and one behind it, whose places the types tell. */
  readonly #strings: string;
  readonly #structs = new Map<string, number>();
  readonly #offsets = new Map<string, bigint>();

  /** @param bytes of `/sys/kernel/btf/vmlinux` @throws {StasisError} `unsupported` of what is none */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER || view.getUint16(0, true) !== MAGIC) throw unknown("its types");
    const header = view.getUint32(4, true);
    const word = (at: number): number => view.getUint32(at, true);
    const part = (at: number): Uint8Array<ArrayBuffer> =>
      bytes.slice(header + word(at), header + word(at) + word(at + 4));
    const words = this.#words = new Uint32Array(part(8).buffer);
    this.#strings = new TextDecoder("latin1").decode(part(16));
    const types = new Uint32Array(1 + Math.ceil(words.length / HEAD));
    let count = 1;
    for (let at = 0; at < words.length;) {
      const info = words[at + 1]!;
      const kind = kindOf(info);
      types[count++] = at;
      at += HEAD + FIXED[kind]! + EACH[kind]! * (info & 0xffff);
    }
    this.#types = types.subarray(0, count);
  }

  /** How large a structure is, in bytes. @throws {StasisError} `unsupported` where there is none of that name */
  size(struct: string): number {
    return this.#words[this.#struct(struct) + 2]!;
  }

  /** Where a field of a structure lies, in bytes from its begin. @throws {StasisError} `unsupported` where there is none */
  offset(struct: string, field: string): bigint {
    const path = `${struct}.${field}`;
    let offset = this.#offsets.get(path);
    if (offset === undefined) {
      const name = this.#nameAt(field);
      const bits = name === undefined ? undefined : this.#bits(this.#struct(struct), name);
      if (bits === undefined || bits % 8 !== 0) throw unknown(path);
      this.#offsets.set(path, offset = BigInt(bits / 8));
    }
    return offset;
  }

  /** The number of a function. @throws {StasisError} `unsupported` where there is none of that name */
  functionId(name: string): number {
    const id = this.#find(FUNC, name);
    if (id === undefined) throw unknown(`${name}()`);
    return id;
  }

  /** Where a structure begins. */
  #struct(name: string): number {
    let at = this.#structs.get(name);
    if (at === undefined) {
      const id = this.#find(STRUCT, name);
      if (id === undefined) throw unknown(`struct ${name}`);
      this.#structs.set(name, at = this.#types[id]!);
    }
    return at;
  }

  /** The number of a type. */
  #find(kind: number, name: string): number | undefined {
    const nameAt = this.#nameAt(name);
    if (nameAt === undefined) return undefined;
    const id = this.#types.findIndex((at, id) =>
      id > 0 && this.#words[at] === nameAt && kindOf(this.#words[at + 1]!) === kind
    );
    return id < 0 ? undefined : id;
  }

  /** Where a name stands, which stands there once. */
  #nameAt(name: string): number | undefined {
    const before = this.#strings.indexOf(`\0${name}\0`);
    return before < 0 ? undefined : before + 1;
  }

  /** The offset of a field in bits, also of one within a part that has no name. */
  #bits(at: number, name: number): number | undefined {
    const info = this.#words[at + 1]!;
    for (let index = 0; index < (info & 0xffff); index++) {
      const member = at + HEAD + index * MEMBER;
      // Of structures with bit fields (kind_flag) the high byte is the number of bits.
      const offset = this.#words[member + 2]! & (info >>> 31 ? 0xff_ffff : 0xffff_ffff);
      if (this.#words[member] === name) return offset;
      if (this.#words[member] !== 0) continue;
      const inner = this.#plain(this.#words[member + 1]!);
      const found = inner === undefined ? undefined : this.#bits(inner, name);
      if (found !== undefined) return offset + found;
    }
    return undefined;
  }

  /** Where a structure or union is that a type stands for. */
  #plain(type: number): number | undefined {
    if (type === 0 || type >= this.#types.length) return undefined;
    const at = this.#types[type]!;
    const kind = kindOf(this.#words[at + 1]!);
    if (MODIFIERS.has(kind)) return this.#plain(this.#words[at + 2]!);
    return kind === STRUCT || kind === UNION ? at : undefined;
  }
}

function kindOf(info: number): number {
  return info >>> 24 & 0x1f;
}

function unknown(what: string): StasisError {
  return new StasisError("unsupported", `this kernel does not tell of ${what} (BTF)`);
}
