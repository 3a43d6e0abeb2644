/**
 * Looking at a descriptor of this process that is to stand in for something.
 *
 * @module
 */
import { statusFlags } from "../../core/linux/fcntl.ts";

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const S_IFIFO = 0o010000;

/** A descriptor of this process. */
export interface OwnFile {
  readonly fd: number;
  /** Its status flags. */
  readonly flags: number;
  readonly isPipe: boolean;
  /**
   * Whether opening it through /proc/self/fd gives another open file of the same thing without loss: so it
   * is for pipes and devices; a regular file would start at its beginning, and sockets cannot be opened.
   */
  readonly opensAgain: boolean;
}

/** Looks at a descriptor. @returns undefined if it is not open */
export function lookAtOwn(fd: number): OwnFile | undefined {
  let mode: number;
  try {
    mode = Deno.statSync(`/proc/self/fd/${fd}`).mode ?? 0;
  } catch {
    return undefined;
  }
  const type = mode & S_IFMT;
  const isPipe = type === S_IFIFO;
  return { fd, flags: statusFlags(fd), isPipe, opensAgain: isPipe || type === S_IFCHR };
}
