/**
 * Two buffers that are compared.
 *
 * @module
 */
import { addressOf, isSameMemory } from "./libc_ffi.ts";

/** Two buffers of one length that are filled and compared again and again, the whole or parts. */
export class ComparedBuffers {
  readonly one: Uint8Array<ArrayBuffer>;
  readonly other: Uint8Array<ArrayBuffer>;
  readonly #one: bigint;
  readonly #other: bigint;

  /** @param size of each, in bytes */
  constructor(size: number) {
    this.one = new Uint8Array(size);
    this.other = new Uint8Array(size);
    this.#one = addressOf(this.one);
    this.#other = addressOf(this.other);
  }

  /** Whether they are equal between two places. */
  areEqual(from: number, to: number): boolean {
    const at = BigInt(from);
    return isSameMemory(this.#one + at, this.#other + at, to - from);
  }
}
