/**
 * What of a store a checkpoint cannot be restored without: its parents, where it is an incremental one. An image
 * directory names its parent by the link `parent` (as CRIU has it); a directory of that name is its own.
 *
 * @module
 */
import { PARENT } from "../images/parent.ts";
import { checkpointNumber } from "./listing.ts";

/**
 * The parent of a checkpoint, if it has one in this store.
 *
 * @param store the directory of the store
 * @returns its number
 */
export function parentOf(store: string, number: number): number | undefined {
  let link: string;
  try {
    link = Deno.readLinkSync(`${store}/${number}/${PARENT}`);
  } catch {
    return undefined; // none, or a directory of the checkpoint itself
  }
  const [, name = ""] = /^\.\.\/([^/]+)\/?$/.exec(link) ?? [];
  return checkpointNumber(name);
}

/** The numbers of those that a checkpoint needs directly: for `superfluous()` of `retention.ts`. */
export function needsOf(store: string, number: number): readonly number[] {
  const parent = parentOf(store, number);
  return parent === undefined ? [] : [parent];
}
