/**
 * Where a path of the images is on this machine, by what the user says (`--remap`). What was said and never asked for
 * is known, since plugins alone know all names that images have.
 *
 * @module
 */
import type { OperationOptions } from "./session.ts";

/** The names that paths were found below, of what users have said. */
const matched = new WeakMap<object, Set<string>>();

/**
 * A path on this machine: the name that leads furthest down to it is replaced, and what lies below that stays.
 *
 * @param path absolute, as the images have it
 * @returns the path itself where nothing is said of it
 */
export function remapPath(path: string, { remap = {} }: Pick<OperationOptions, "remap">): string {
  let found: string | undefined;
  for (const from of Object.keys(remap)) {
    if (!isAtOrBelow(path, from)) continue;
    matchedOf(remap).add(from);
    if (from.length > (found?.length ?? 0)) found = from;
  }
  if (found === undefined) return path;
  const below = path.slice(withoutSlash(found).length);
  return withoutSlash(remap[found] as string) + below || "/";
}

/** The names that no path was at or below so far: most likely slips, after which the old files would be used. */
export function unmatchedRemaps({ remap = {} }: Pick<OperationOptions, "remap">): string[] {
  return Object.keys(remap).filter((from) => !matchedOf(remap).has(from));
}

function matchedOf(remap: object): Set<string> {
  let names = matched.get(remap);
  if (names === undefined) matched.set(remap, names = new Set());
  return names;
}

function isAtOrBelow(path: string, from: string): boolean {
  const directory = withoutSlash(from);
  return path === directory || path.startsWith(`${directory}/`);
}

/** `/a/` as `/a`, and the root as nothing, in front of what lies below it. */
function withoutSlash(path: string): string {
  return path.replace(/\/+$/, "");
}

/** What is done about a file that is not where the images say. */
export function remapHint(path: string, instead = "bring it back"): string {
  return `${instead}, or name another one: --remap '${path.replaceAll("'", `'\\''`)}=/PATH'`;
}
