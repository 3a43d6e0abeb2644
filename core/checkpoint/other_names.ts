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

/** How far is searched. */
export interface SearchLimits {
  readonly directories: number;
  readonly names: number;
}

/** So many directories are read at most for one file, and so many names: some tenths of a second. */
export const SEARCH_LIMITS: SearchLimits = { directories: 2_000, names: 100_000 };
/** So many for all files of an operation: whatever is looked for, no directory is read twice. */
const ALL_LIMITS: SearchLimits = { directories: 8_000, names: 400_000 };
/** In a directory of so many names each is looked at: some file systems tell other inodes there (overlayfs). */
const LOOKED_AT = 10_000;

/** `d_type` of getdents64(2) (`include/linux/fs_types.h`): not told, or a directory. */
const DT_UNKNOWN = 0, DT_DIR = 4;

/** What was found in a directory. */
interface Known {
  /** The directories in it, those apart on which something is mounted. */
  readonly below: readonly string[];
  readonly names: number;
}

/** The names that were met so far, by the files that have them. */
export class NameIndex {
  readonly #paths = new Map<bigint, string[]>();
  readonly #known = new Map<string, Known>();
  readonly #searched = new Set<string>();
  readonly #reader: DirectoryReader;
  #directories: number;
  #names: number;

  constructor(reader: DirectoryReader, { directories, names }: SearchLimits = ALL_LIMITS) {
    this.#reader = reader;
    this.#directories = directories;
    this.#names = names;
  }

  /**
   * Searches a directory and what is below it, then the one above with what is below that, and so on to the root of the
   * file system.
   *
   * @param from a directory that exists, without a slash at the end
   * @returns a path that leads to the file; undefined where none was found within the limits
   */
  search(
    from: string,
    meant: FileNumbers,
    limits: SearchLimits = SEARCH_LIMITS,
  ): string | undefined {
    const met = this.#find(meant);
    if (met !== undefined || this.#searched.has(from)) return met;
    this.#searched.add(from);
    const device = this.#reader.look(from || "/")?.dev;
    const seen = new Set<string>();
    let { names } = limits;
    for (let top = from;; top = top.slice(0, top.lastIndexOf("/"))) {
      if (this.#reader.look(top || "/")?.dev !== device) return undefined;
      const waiting = [top];
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        if (seen.has(next)) continue;
        if (seen.size >= limits.directories || names <= 0) return undefined;
        seen.add(next);
        let known = this.#known.get(next);
        if (known === undefined) {
          if (this.#directories <= 0 || this.#names <= 0) return undefined;
          known = this.#read(next, device, next === from);
          // All of the directory is known for others, though one is enough.
          const found = this.#find(meant);
          if (found !== undefined) {
            this.#searched.delete(from);
            return found;
          }
        }
        names -= known.names;
        for (const directory of known.below) waiting.push(directory);
      }
      if (top === "") return undefined;
    }
  }

  #read(directory: string, device: number | undefined, nearest: boolean): Known {
    const entries = this.#reader.entries(directory || "/");
    const below: string[] = [];
    const look = nearest && entries.length <= LOOKED_AT;
    for (const { name, ino, type } of entries) {
      if (name === "." || name === "..") continue;
      const path = `${directory}/${name}`;
      // What is mounted on a directory is another file system.
      const isDirectory = type === DT_DIR || type === DT_UNKNOWN;
      if (isDirectory && this.#reader.look(path)?.dev === device) below.push(path);
      if (type === DT_DIR) continue;
      this.#add(look ? BigInt(this.#reader.look(path)?.ino ?? ino) : ino, path);
    }
    this.#directories--;
    this.#names -= entries.length;
    const known = { below, names: entries.length };
    this.#known.set(directory, known);
    return known;
  }

  #add(ino: bigint, path: string): void {
    const paths = this.#paths.get(ino);
    if (paths === undefined) this.#paths.set(ino, [path]);
    else paths.push(path);
  }

  #find(meant: FileNumbers): string | undefined {
    return this.#paths.get(BigInt(meant.ino ?? 0))?.find((path) => {
      const found = this.#reader.look(path);
      return found?.dev === meant.dev && found.ino === meant.ino;
    });
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

/** What was found in a first look, or was not, serves the second, when the tree stands still. */
export class OtherNames {
  readonly #found = new Map<string, string | undefined>();
  readonly #reader: DirectoryReader;
  #index: NameIndex;

  constructor(reader: DirectoryReader = MACHINE) {
    this.#reader = reader;
    this.#index = new NameIndex(reader);
  }

  /** Another name of a file. @param directory the nearest to its deleted name that exists */
  find(directory: string, meant: FileNumbers): string | undefined {
    const key = `${meant.dev}:${meant.ino}`;
    if (this.#found.has(key)) {
      const path = this.#found.get(key);
      if (path === undefined) return undefined;
      const found = this.#reader.look(path);
      if (found?.dev === meant.dev && found.ino === meant.ino) return path;
      // It has been moved, or deleted: what is known is old.
      this.#index = new NameIndex(this.#reader);
    }
    const path = this.#index.search(directory === "/" ? "" : directory, meant);
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
