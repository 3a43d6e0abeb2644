/**
 * Image directories that are named by the store that they are in.
 *
 * @module
 */
import { LATEST } from "./listing.ts";

/**
 * The image directory that a directory stands for: the latest checkpoint of a store, as it is now, or itself.
 *
 * @param directory as it was given
 */
export function imagesIn(directory: string): string {
  try {
    const number = Deno.readLinkSync(`${directory}/${LATEST}`);
    // Whoever reads it must not see half of one and half of the next.
    return `${directory}/${number}`;
  } catch {
    return directory; // whatever is wrong with it is told by who opens it
  }
}
