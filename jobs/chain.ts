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
