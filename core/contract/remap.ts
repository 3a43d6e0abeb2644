/**
 * Where a path of the images is on this machine, by what the user says (`--remap`). Pure.
 *
 * @module
 */
import type { OperationOptions } from "./session.ts";

/**
 * A path on this machine: the name that leads furthest down to it is replaced, and what lies below that stays.
 *
 * @param path absolute, as the images have it
 * @returns the path itself where nothing is said of it
 */
export function remapPath(path: string, { remap = {} }: Pick<OperationOptions, "remap">): string {
  let found: string | undefined;
  for (const from of Object.keys(remap)) {
    if (isAtOrBelow(path, from) && from.length > (found?.length ?? 0)) found = from;
  }
  if (found === undefined) return path;
  const below = path.slice(withoutSlash(found).length);
  return withoutSlash(remap[found] as string) + below || "/";
}

function isAtOrBelow(path: string, from: string): boolean {
  const directory = withoutSlash(from);
  return path === directory || path.startsWith(`${directory}/`);
}

/** `/a/` as `/a`, and the root as nothing, in front of what lies below it. */
function withoutSlash(path: string): string {
  return path.replace(/\/+$/, "");
}
