/**
 * Paths longer than a system call takes, in pieces that it takes.
 *
 * @module
 */
import { encodeBytes } from "../../base/byte_text.ts";

/** PATH_MAX of `include/uapi/linux/limits.h`: how long a path may be that a call is told or tells, with its end. */
export const PATH_MAX = 4096;

/**
 * Parts a path so that each piece fits into one call: all but the last are directories, each of them relative to the
 * one before. A path that fits is its only piece.
 */
export function splitPath(path: string): readonly string[] {
  if (path.length < PATH_MAX && sizeOf(path) < PATH_MAX) return [path];
  const names = path.split("/").filter((name) => name !== "");
  const pieces = [[] as string[]];
  let size = 1; // that of the slash of the root, if there is one
  for (const name of names) {
    const more = sizeOf(name) + 1;
    if (size + more > PATH_MAX) {
      pieces.push([]);
      size = 0;
    }
    pieces[pieces.length - 1]?.push(name);
    size += more;
  }
  const [first = "", ...others] = pieces.map((names) => names.join("/"));
  return [path.startsWith("/") ? `/${first}` : first, ...others];
}

/** In bytes, at least where that matters: no character has more than three for each of its UTF-16 units. */
function sizeOf(text: string): number {
  const most = text.length * 3;
  return most < PATH_MAX ? most : encodeBytes(text).byteLength;
}
