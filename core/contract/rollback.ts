/**
 * Files that a tree was writing when it was saved, and that have been written to since: by the tree, which ran on, was
 * killed, and is now to do the same again. What was only appended is cut off, so that it does not come twice; what was
 * written elsewhere cannot be brought back, and the restore says so.
 *
 * @module
 */
import { O } from "../../core/linux/fcntl.ts";
import type { FdInfo } from "../../core/linux/procfs/mod.ts";
import type { FileValidation, LoadContext } from "../../core/plugin.ts";
import type { file_length_entry } from "../../images/gen/paths_pb.ts";

/** What tells how a file is written. */
export type Writing = Pick<file_length_entry, "length" | "mtime" | "append" | "atEnd">;

/**
 * What an open file tells of how its file is written.
 *
 * @param length of the file, in bytes
 * @returns undefined where it is not open for writing
 */
export function writingOf(
  { flags, pos }: Pick<FdInfo, "flags" | "pos">,
  length: bigint,
): Pick<Writing, "append" | "atEnd"> | undefined {
  const access = flags & O.ACCMODE;
  if (access === O.RDONLY || (flags & O.PATH) !== 0) return undefined;
  // Who reads, too, and has not begun may do anything next: a database.
  const begun = access === O.WRONLY || length > 0n;
  return { append: (flags & O.APPEND) !== 0, atEnd: begun && pos === length };
}

/** A file of the images by its path on this machine, and all that open files tell of it. */
export interface WrittenFile {
  readonly path: string;
  readonly writings: readonly Writing[];
}

/** A file that is too long, and is to be cut back. */
export interface Cut {
  readonly path: string;
  /** Its length at the checkpoint, and now, in bytes. */
  readonly length: bigint;
  readonly found: bigint;
}

/** What a file is now. */
export interface FoundFile {
  readonly length: bigint;
  readonly mtime: bigint;
}

const SHORT_HINT =
  "bring the old one back, or begin anew; with --ignore-file-change it is taken as it is";
const CHANGED_HINT =
  "bring back a copy of that time (--before CMD can make one at each checkpoint), or begin anew; with " +
  "--ignore-file-change it is taken as it is, if the program can bear that";

/**
 * Judges a file that was being written.
 *
 * @param validation what the user wants compared
 * @returns undefined where it may stay as it is
 */
export function judge(
  { path, writings }: WrittenFile,
  found: FoundFile,
  validation: FileValidation,
): Cut | Parameters<LoadContext["problem"]>[0] | undefined {
  const [first] = writings;
  if (first === undefined) return undefined;
  const { length, mtime } = first;
  const onlyAppended = writings.every(({ append, atEnd }) => append || atEnd);
  if (onlyAppended && found.length > length) return { path, length, found: found.length };
  if (validation === "none") return undefined;
  if (found.length < length) {
    return {
      what: `the file ${path} has ${found.length} bytes now and had ${length} at the checkpoint`,
      hint: SHORT_HINT,
    };
  }
  if (writings.every(({ append }) => append) || found.mtime === mtime) return undefined;
  return {
    what: `the file ${path} has been written to since the checkpoint, and not at its end alone`,
    hint: CHANGED_HINT,
  };
}

/** Whether a file is to be cut back. */
export function isCut(judged: ReturnType<typeof judge>): judged is Cut {
  return judged !== undefined && "found" in judged;
}
