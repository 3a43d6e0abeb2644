/**
 * The names of pseudoterminals.
 *
 * @module
 */

/** The name of a slave. */
export function slavePath(index: number): string {
  return `/dev/pts/${index}`;
}
