/**
 * A quicker way to small files than Deno's, for who has one: an image directory has several for each task.
 *
 * @module
 */

/** Reads and makes small files. Whatever is out of the ordinary is left to Deno, which says what it is. */
export interface SmallFiles {
  /** The size of a regular file, in bytes; undefined of all else, and where there is none. */
  size(path: string): number | undefined;
  /** The bytes of a file of that size; undefined where that is left. */
  read(path: string, size: number): Uint8Array | undefined;
  /** Makes a file of mode 0600 that was not there. @returns whether it has; if not, nothing was made */
  create(path: string, bytes: Uint8Array): boolean;
}
