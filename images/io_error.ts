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
  ENFILE: "too many files are open on this machine (/proc/sys/fs/file-max): try again",
  ENOMEM: "the kernel is out of memory: try again",
  EFBIG: "raise the limit of file sizes (ulimit -f)",
};

/** Numbers for which Deno may give no name, only `(os error N)` in the message (`asm-generic/errno.h`). */
const NAMELESS: Readonly<Record<string, string>> = {
  5: "EIO",
  11: "EAGAIN",
  12: "ENOMEM",
  23: "ENFILE",
  24: "EMFILE",
  105: "ENOBUFS",
  110: "ETIMEDOUT",
  116: "ESTALE",
  121: "EREMOTEIO",
  122: "EDQUOT",
};

/** The errno of an error of Deno's file functions by name, or undefined where it has none. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as Error & { code?: unknown };
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return code;
  return NAMELESS[/\(os error (\d+)\)/.exec(error.message)?.[1] ?? ""];
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

/** What a machine may answer to any call, and that is nobody's defect; unlike ENOENT or EINVAL. */
const OF_THE_MACHINE: ReadonlySet<string> = new Set([
  ...[
    "EACCES",
    "EAGAIN",
    "EBUSY",
    "EDQUOT",
    "EFBIG",
    "EINTR",
    "EIO",
    "EMFILE",
    "ENFILE",
    "ENOBUFS",
  ],
  ...["ENOMEM", "ENOSPC", "EPERM", "EREMOTEIO", "EROFS", "ESTALE", "ETIMEDOUT"],
]);

/**
 * The error for an exception that nobody caught where it came from: of a call which the machine refused. Undefined
 * for every other one, which is a defect.
 */
export function machineError(error: unknown): StasisError | undefined {
  const errno = errnoOf(error);
  if (errno === undefined || !OF_THE_MACHINE.has(errno)) return undefined;
  // "Cannot allocate memory (os error 12): open '/x'"
  const what = /\(os error \d+\): (.+)$/s.exec((error as Error).message)?.[1];
  return ioError(what ?? "go on", error);
}
