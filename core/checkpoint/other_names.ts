/**
 * Other names of files whose names were deleted: no call tells them, so directories are searched, the nearest first,
 * as far as is bearable while a tree stands still.
 *
 * @module
 */
import { type DirectoryEntry, readEntries } from "../linux/directory.ts";
import { lstatPath } from "../linux/files.ts";

/** A file. */
export interface FileNumbers {
  /** `st_dev` of stat(2). */
  readonly dev: number;
  readonly ino: number | null;
}

/** What a search asks of the machine. */
export interface DirectoryReader {
  /** What is in a directory; nothing where it cannot be read. */
  entries(directory: string): readonly DirectoryEntry[];
  /** What a path leads to, itself and not by a symbolic link; undefined where there is nothing. */
  look(path: string): FileNumbers | undefined;
}

/** So many directories are read at most, and so many names: some tenths of a second. */
export const SEARCH_LIMITS = { directories: 2_000, names: 100_000 } as const;

/** `d_type` of getdents64(2) (`include/linux/fs_types.h`): not told, or a directory. */
const DT_UNKNOWN = 0, DT_DIR = 4;

/**
 * Searches a directory and what is below it, then the one above with what is below that, and so on to the root of the
 * file system.
 *
 * @param from a directory that exists, without a slash at the end
 * @returns a path that leads to the file; undefined where none was found within the limits
 */
export function searchName(
  from: string,
  meant: FileNumbers,
  reader: DirectoryReader,
  limits: { readonly directories: number; readonly names: number } = SEARCH_LIMITS,
): string | undefined {
  const device = reader.look(from || "/")?.dev;
  const seen = new Set<string>();
  let { names } = limits;
  for (let top = from;; top = top.slice(0, top.lastIndexOf("/"))) {
    if (reader.look(top || "/")?.dev !== device) return undefined;
    const waiting = [top];
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (seen.has(next)) continue;
      if (seen.size >= limits.directories || names <= 0) return undefined;
      seen.add(next);
      const entries = reader.entries(next || "/");
      names -= entries.length;
      for (const { name, ino, type } of entries) {
        if (name === "." || name === "..") continue;
        const path = `${next}/${name}`;
        if (ino === BigInt(meant.ino ?? 0) && type !== DT_DIR) {
          const found = reader.look(path);
          if (found?.dev === meant.dev && found.ino === meant.ino) return path;
        }
        // What is mounted on a directory is another file system.
        const isDirectory = type === DT_DIR || type === DT_UNKNOWN;
        if (isDirectory && reader.look(path)?.dev === device) waiting.push(path);
      }
    }
    if (top === "") return undefined;
  }
}

/** Reads the machine's directories. */
const MACHINE: DirectoryReader = {
  entries(directory) {
    try {
      return readEntries(directory);
    } catch {
      // Gone meanwhile, no directory, or not to be read.
      return [];
    }
  },
  look(path) {
    try {
      return lstatPath(path);
    } catch {
      return undefined;
    }
  },
};

/** What was found in a first look serves the second, when the tree stands still. */
export class OtherNames {
  readonly #found = new Map<string, string | undefined>();
  readonly #reader: DirectoryReader;

  constructor(reader: DirectoryReader = MACHINE) {
    this.#reader = reader;
  }

  /** Another name of a file. @param directory the nearest to its deleted name that exists */
  find(directory: string, meant: FileNumbers): string | undefined {
    const key = `${meant.dev}:${meant.ino}`;
    if (this.#found.has(key)) {
      const path = this.#found.get(key);
      if (path === undefined) return undefined;
      const found = this.#reader.look(path);
      if (found?.dev === meant.dev && found.ino === meant.ino) return path;
    }
    const path = searchName(directory === "/" ? "" : directory, meant, this.#reader);
    this.#found.set(key, path);
    return path;
  }
}

const known = new WeakMap<object, OtherNames>();

/** Those of one operation: whoever asks for the same `operation` object gets the same. */
export function otherNames(operation: object): OtherNames {
  let names = known.get(operation);
  if (names === undefined) known.set(operation, names = new OtherNames());
  return names;
}
