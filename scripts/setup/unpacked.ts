/**
 * Programs whose packages would start a service where they are installed: they are fetched and unpacked below `.cache`
 * instead, with the libraries that are not on the machine, and run from there.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CACHE = Deno.env.get("STASIS_CACHE") ??
  fileURLToPath(new URL("../../.cache", import.meta.url));

/** Where they are unpacked. */
export const UNPACKED_DIR: string = join(CACHE, "programs");

/** Where programs are in an unpacked package, and where libraries are. */
const PROGRAMS = ["usr/sbin", "usr/bin"], LIBRARIES = ["usr/lib/x86_64-linux-gnu"];

/** The directories of programs that were unpacked. */
export function unpackedPath(directory: string = UNPACKED_DIR): string[] {
  return PROGRAMS.map((name) => join(directory, name));
}

/** A program, and what it must find in its environment. */
export interface LocatedProgram {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Finds a program: on a PATH, or unpacked.
 *
 * @param path the directories of the PATH
 * @param exists says whether a file exists
 * @returns the name as it is where it is on the PATH, or nowhere
 */
export function locateProgram(
  name: string,
  path: readonly string[],
  exists: (file: string) => boolean,
  directory: string = UNPACKED_DIR,
): LocatedProgram {
  const nothing = { program: name, env: {} };
  if (path.some((one) => exists(join(one, name)))) return nothing;
  const program = unpackedPath(directory).map((one) => join(one, name)).find(exists);
  if (program === undefined) return nothing;
  const libraries = LIBRARIES.map((one) => join(directory, one)).join(":");
  return { program, env: { LD_LIBRARY_PATH: libraries } };
}
