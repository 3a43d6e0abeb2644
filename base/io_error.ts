/**
 * Turns what the file system refuses into errors that a person understands.
 *
 * @module
 */

import { StasisError } from "./errors.ts";

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: "make room on that file system, or name a directory on another one",
  EDQUOT: "the disk quota is used up: make room, or name a directory elsewhere",
  EROFS: "that file system is mounted read-only: name a directory on another one",
  EACCES: "name a directory that you may write to",
  EPERM: "name a directory that you may write to",
  ENOENT: "create the directory that it should stand in first",
  ENOTDIR: "a part of the path is no directory",
  EMFILE: "raise the limit of open files (ulimit -n)",
  ENFILE: "too many files are open on this machine (/proc/sys/fs/file-max): try again",
  ENOMEM: "the kernel is out of memory: try again",
  EFBIG: "raise the limit of file sizes (ulimit -f)",
};

/** Of what is read rather than made: `"read ..."`, `"list ..."`, `"look at ..."`. */
const READING = /^(read|list|look at|tell) /;
const READING_HINTS: Readonly<Record<string, string | undefined>> = {
  ...HINTS,
  EACCES: "ask as a user who may read it, or as root",
  EPERM: "ask as a user who may read it, or as root",
  ENOENT: undefined, // nothing is to be made
};

/** Numbers, of which Deno may tell no name but `(os error N)` in the message (`asm-generic/errno-base.h`, `errno.h`). */
const NAMES: Readonly<Record<string, string>> = {
  1: "EPERM",
  2: "ENOENT",
  5: "EIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  27: "EFBIG",
  28: "ENOSPC",
  30: "EROFS",
  32: "EPIPE",
  105: "ENOBUFS",
  110: "ETIMEDOUT",
  116: "ESTALE",
  121: "EREMOTEIO",
  122: "EDQUOT",
};

/** The errno of an error of Deno's functions by name (or as `errno N`), or undefined where it has none. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as Error & { code?: unknown };
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return code;
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? undefined : NAMES[number] ?? `errno ${number}`;
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
  return new StasisError("io", `cannot ${what}: ${why}`, {
    errno,
    hint: errno === undefined ? undefined : (READING.test(what) ? READING_HINTS : HINTS)[errno],
    cause,
  });
}
