/**
 * The `syscall` instructions of a program that lie farthest apart. Pure but for the reading, which is handed in.
 *
 * A range of dispatch has no gaps (before the inclusive mode of Linux 6.17): if calls from both of them are within
 * it, so are calls from every instruction between.
 *
 * @module
 */

/** Memory with code. */
export interface CodeRange {
  /** Its first address. */
  readonly start: bigint;
  /** The address behind it. */
  readonly end: bigint;
}

/**
 * The addresses of the lowest and the highest `syscall` instruction, wherever the bytes 0f 05 stand.
 *
 * @param code executable memory, ascending
 * @param read gives the bytes of one range; undefined where it cannot be read
 * @returns none, one, or two addresses
 */
export function outermostInstructions(
  code: readonly CodeRange[],
  read: (range: CodeRange) => Uint8Array | undefined,
): bigint[] {
  const lowest = search(code, read, firstIn);
  if (lowest === undefined) return [];
  const highest = search(code.toReversed(), read, lastIn);
  return highest === undefined || highest === lowest ? [lowest] : [lowest, highest];
}

function search(
  code: readonly CodeRange[],
  read: (range: CodeRange) => Uint8Array | undefined,
  find: (bytes: Uint8Array) => number,
): bigint | undefined {
  for (const range of code) {
    const at = find(read(range) ?? new Uint8Array());
    if (at >= 0) return range.start + BigInt(at);
  }
  return undefined;
}

function firstIn(bytes: Uint8Array): number {
  let at = bytes.indexOf(0x0f);
  while (at >= 0 && bytes[at + 1] !== 0x05) at = bytes.indexOf(0x0f, at + 1);
  return at;
}

function lastIn(bytes: Uint8Array): number {
  // A position below 0 would count from the end.
  for (
    let at = bytes.lastIndexOf(0x0f);
    at >= 0;
    at = at > 0 ? bytes.lastIndexOf(0x0f, at - 1) : -1
  ) {
    if (bytes[at + 1] === 0x05) return at;
  }
  return -1;
}
