/**
 * Turns what the file system refuses into errors that a person understands.
 *
 * @module
 */

import { StasisError } from "../base/errors.ts";

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: "make room on that file system, or name a directory on another one",
  EDQUOT: "the disk quota is used up: make room, or name a directory elsewhere",
  EROFS: "that file system is mounted read-only: name a directory on another one",
  EACCES: "name a directory that you may write to",
  EPERM: "name a directory that you may write to",
  ENOENT: "create the directory that it should stand in first",
  ENOTDIR: "a part of the path is no directory",
  EMFILE: "raise the limit of open files (ulimit -n)",
  EFBIG: "raise the limit of file sizes (ulimit -f)",
};

/** The errno of an error of Deno's file functions by name, or undefined where it has none. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/**
 * The error for a file operation that failed.
 *
 * @param what What was tried, with its path: `"write /tmp/x/core-1.img"`.
 * @param cause What Deno threw.
 */
export function ioError(what: string, cause: unknown): StasisError {
  if (cause instanceof StasisError) return cause;
  const errno = errnoOf(cause);
  const why = errno ?? (cause instanceof Error ? cause.message : String(cause));
  return new StasisError("io", `Cannot ${what}: ${why}`, {
    errno,
    hint: errno === undefined ? undefined : HINTS[errno],
    cause,
  });
}
