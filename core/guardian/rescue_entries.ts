/**
 * Entries of the rescue program, and where they lie in the guardian. Pure.
 *
 * @module
 */
import {
  ENTRY_ARGUMENTS,
  ENTRY_RESULT,
  ENTRY_SIZE,
  OPERATION_COPY,
  OPERATION_JUMP,
  OPERATION_UNLESS,
} from "../linux/x86_64/program_code.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { type RawCall, Vector, VECTOR_SIZE } from "../remote/undo.ts";

/** Where the table lies in the guardian. Nothing else is there: a seed has a page of code and a stack. */
export const TABLE_ADDRESS = 0x10_0000_0000n;

/** An address of the table in the guardian. @param at bytes from its beginning */
export function tableAddress(at: number): bigint {
  return TABLE_ADDRESS + BigInt(at);
}

/** Entries one behind the other, and data behind those. */
export class Entries {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  readonly #end: number;
  #at = 0;
  #dataAt: number;

  /**
   * @param base where the block lies in the table
   * @param end where entries must have ended, in bytes from the beginning of the block
   * @param dataAt where the data begins, in the same
   */
  constructor(base: number, size: number, end: number, dataAt: number = end) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
    this.#base = base;
    this.#end = end;
    this.#dataAt = dataAt;
  }

  /** The address of the next entry. */
  get here(): bigint {
    return tableAddress(this.#base + this.#at);
  }

  /** The address of the entry that lies so many behind the next one. */
  ahead(count: number): bigint {
    return this.here + BigInt(count * ENTRY_SIZE);
  }

  /** @returns the address of the entry's result */
  entry(operation: bigint, ...args: bigint[]): bigint {
    const at = this.#at;
    if (at + ENTRY_SIZE > this.#end) throw new RangeError("a block of the table overflows");
    this.#view.setBigUint64(at, BigInt.asUintN(64, operation), true);
    args.forEach((arg, index) =>
      this.#view.setBigUint64(at + ENTRY_ARGUMENTS + index * 8, BigInt.asUintN(64, arg), true)
    );
    this.#at += ENTRY_SIZE;
    return tableAddress(this.#base + at + ENTRY_RESULT);
  }

  jump(to: bigint): void {
    this.entry(OPERATION_JUMP, to);
  }

  unless(word: bigint, value: bigint, to: bigint): void {
    this.entry(OPERATION_UNLESS, word, value, to);
  }

  /** Copies an integer of 4 bytes (zero-extended) or 8 from one address to the word at another. */
  copy(to: bigint, from: bigint, size = 8n): void {
    this.entry(OPERATION_COPY, to, from, size);
  }

  /** @returns the address of the call's result */
  call(call: RawCall): bigint {
    const args = call.args.map((arg) => {
      if (arg instanceof Uint8Array) return this.data(arg);
      if (!(arg instanceof Vector)) return arg;
      const vector = new Uint8Array(VECTOR_SIZE);
      const view = new DataView(vector.buffer);
      view.setBigUint64(0, arg.base instanceof Uint8Array ? this.data(arg.base) : arg.base, true);
      view.setBigUint64(8, arg.length, true);
      return this.data(vector);
    });
    return this.entry(BigInt(SYSCALLS[call.name]), ...args);
  }

  /** A word of the block that holds a number. @returns its address */
  word(value: bigint): bigint {
    return this.data(new Uint8Array(BigUint64Array.of(value).buffer));
  }

  /** Memory of the block. @returns its address */
  data(bytes: Uint8Array | number): bigint {
    const at = this.#dataAt;
    const size = typeof bytes === "number" ? bytes : bytes.byteLength;
    this.#dataAt = (at + size + 7) & ~7;
    // What is noted of a thread or a process is of a few kinds, and small.
    if (this.#dataAt > this.bytes.length) throw new RangeError("a block of the table overflows");
    if (typeof bytes !== "number") this.bytes.set(bytes, at);
    return tableAddress(this.#base + at);
  }
}
