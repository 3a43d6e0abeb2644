/**
 * Finding room in address spaces. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { PAGE_SIZE, pageAlign, type RemoteAddress, remoteAddress } from "../linux/address.ts";

/** A range of addresses. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/** Above what a non-PIE program has, below where PIE programs, libraries and stacks are put. */
const LOWEST = 0x1_0000_0000n;
const HIGHEST = 0x5000_0000_0000n;
/** Room below a stack's mapping is left for it to grow. */
const STACK_ROOM = 64n << 20n;

/**
 * The lowest free range of `size` bytes that none of the occupied ranges touches.
 *
 * @throws {StasisError} `unsupported` if there is none
 */
export function findHole(occupied: Iterable<Range>, size: bigint): RemoteAddress {
  const ranges = [...occupied].sort((a, b) => a.start < b.start ? -1 : a.start > b.start ? 1 : 0);
  const wanted = pageAlign(size) + PAGE_SIZE;
  let at = LOWEST;
  for (const { start, end } of ranges) {
    if (start >= at + wanted + STACK_ROOM) break;
    if (end + PAGE_SIZE > at) at = pageAlign(end + PAGE_SIZE);
  }
  if (at + wanted > HIGHEST) {
    throw new StasisError("unsupported", "the tasks leave no room for the tool's scratch memory");
  }
  return remoteAddress(at);
}
