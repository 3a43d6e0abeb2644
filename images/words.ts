/**
 * Sets of bits. Images have capability sets as two 32-bit words, the low one first; Stasis as one number.
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";

/** A 64-bit set as its two words, low first (`cap_eff` and the like). */
export function splitWords(set: bigint): [low: number, high: number] {
  return [Number(set & 0xffffffffn), Number(set >> 32n)];
}

/**
 * The inverse of {@link splitWords}. Words that are not there count as 0, as in old images.
 *
 * @throws {StasisError} `bad-image` where there are more than two.
 */
export function joinWords(words: readonly number[]): bigint {
  if (words.length > 2) {
    throw new StasisError(
      "bad-image",
      `a set of bits in the image has ${words.length} words, not 2`,
    );
  }
  return BigInt(words[0] ?? 0) | BigInt(words[1] ?? 0) << 32n;
}
