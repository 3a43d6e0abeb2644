/**
 * What of a store a checkpoint cannot be restored without: its parents, where it is an incremental one
 * (`images/parent.ts`).
 *
 * @module
 */
import { parentDirectory } from "../images/parent.ts";
import { lastName, parentPath } from "../images/path.ts";
import { checkpointNumber } from "./listing.ts";

/**
 * How many checkpoints need each other before the oldest that is kept is made whole by itself, so that those before it
 * can go. Were that impossible, the next one is whole when there are twice as many.
 */
export const LONGEST_CHAIN = 16;

/**
 * How long a chain may be where so many checkpoints are kept: longer than those, or each of them would have all memory
 * copied once more for the one before it to go.
 */
export function longestChain(keep: number): number {
  return Math.max(LONGEST_CHAIN, keep + LONGEST_CHAIN / 2);
}

/**
 * The parent of a checkpoint, if it has one in this store.
 *
 * @param store the directory of the store
 * @returns its number
 */
export function parentOf(store: string, number: number): number | undefined {
  const parent = parentDirectory(`${store}/${number}`);
  if (parent === undefined || parentPath(parent) !== Deno.realPathSync(store)) return undefined;
  return checkpointNumber(lastName(parent));
}

/** The numbers of those that a checkpoint needs directly: for `superfluous()` of `retention.ts`. */
export function needsOf(store: string, number: number): readonly number[] {
  const parent = parentOf(store, number);
  return parent === undefined ? [] : [parent];
}

/** How many checkpoints one needs, itself among them. */
export function chainLength(store: string, number: number): number {
  let length = 1;
  for (let one = parentOf(store, number); one !== undefined; one = parentOf(store, one)) length++;
  return length;
}
