/**
 * What a path leads to, for whoever wants to know later whether that is still the same.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { lstatPath, modifiedAt, statPath } from "../core/linux/files.ts";

const S_IFMT = 0o170000, S_IFREG = 0o100000;

/** A regular file. */
export interface FileState {
  /** In bytes. */
  readonly length: number;
  /** When it was last modified, in nanoseconds since 1970. */
  readonly mtime: bigint;
  readonly ino: number;
}

/**
 * Looks at a file.
 *
 * @returns "missing" where nothing has that name; "unknown" where it is no regular file, or nobody can tell: a server
 *   that does not answer, a directory that may not be searched and a link to nothing are no signs that it is not there
 */
export function lookAtFile(path: string): FileState | "missing" | "unknown" {
  try {
    const { mode, size, ino } = statPath(path);
    if ((mode & S_IFMT) !== S_IFREG) return "unknown";
    return { length: size, mtime: modifiedAt(path), ino };
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    return error.errno === "ENOENT" && !isLink(path) ? "missing" : "unknown";
  }
}

/** Whether a path that leads to nothing is a link. */
function isLink(path: string): boolean {
  try {
    lstatPath(path);
    return true;
  } catch {
    return false;
  }
}
