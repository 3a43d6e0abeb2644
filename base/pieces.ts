/**
 * Memory for tens of thousands of small things that live equally long, as parts of larger pieces: with a buffer of its
 * own each takes 200 bytes more.
 *
 * @module
 */

/** The size of a piece, in bytes. */
const PIECE = 1 << 16;
/** Words of any type can stand where a part begins. */
const ALIGNMENT = 8;

/** Gives parts of memory, which is freed when all parts of a piece are. */
export class Pieces {
  #piece = new ArrayBuffer(0);
  #used = 0;

  /**
   * A part of zeros that nobody else gets.
   *
   * @param size in bytes
   * @returns where it begins, at a multiple of 8 bytes
   */
  take(size: number): { readonly buffer: ArrayBuffer; readonly at: number } {
    if (this.#used + size > this.#piece.byteLength) {
      this.#piece = new ArrayBuffer(Math.max(PIECE, size));
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += Math.ceil(size / ALIGNMENT) * ALIGNMENT;
    return { buffer: this.#piece, at };
  }

  /** The same as bytes. */
  bytes(size: number): Uint8Array<ArrayBuffer> {
    const { buffer, at } = this.take(size);
    return new Uint8Array(buffer, at, size);
  }
}
