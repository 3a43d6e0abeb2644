/**
 * The errors that Stasis reports. Each is one sentence for a person (what failed, which task, why with
 * the errno by name) with an optional hint (what to do), and a stable {@link ErrorCode} for scripts.
 *
 * @module
 */

/** What kind of failure this is: stable, for scripts; each maps to one exit status of the command line. */
export type ErrorCode =
  /** Arguments or options that make no sense; nothing was looked at. */
  | "usage"
  /** The pid does not exist, or it is gone meanwhile. */
  | "no-such-task"
  /** The survey found state that cannot be saved; {@link StasisError.problems} lists all of it. */
  | "unsupported"
  /** The user or the tool lacks a privilege. */
  | "no-privilege"
  /** This kernel lacks what the operation needs. */
  | "kernel-too-old"
  /** An image directory is missing, truncated, hostile, of another machine, or cannot be written. */
  | "bad-image"
  /** The image directory to write exists already. */
  | "exists"
  /** At restore a pid, a path or another name is taken, or a file has changed since the dump. */
  | "conflict"
  /** Writing the images failed (a full disk, for example). */
  | "io"
  /** A system call made in or on a task failed. */
  | "syscall"
  /** The tree would have stood still for longer than it may (`timeout`), or does not come to stand still. */
  | "timeout"
  /** The user cancelled the operation (SIGINT, SIGTERM, a closed terminal). */
  | "cancelled"
  /** A defect of Stasis or of a plugin. */
  | "internal";

/** Exit statuses of the command line, by error code. Documented in the README. */
export const EXIT_STATUS: Readonly<Record<ErrorCode, number>> = {
  internal: 1,
  usage: 2,
  "no-such-task": 3,
  unsupported: 4,
  "no-privilege": 5,
  "kernel-too-old": 6,
  "bad-image": 7,
  exists: 8,
  conflict: 9,
  io: 10,
  syscall: 11,
  timeout: 12,
  cancelled: 130,
};

/** One thing that a survey or a plan cannot save or rebuild: what, whose, why, and what to do. */
export interface Problem {
  /** The task that has it; absent where it concerns the whole tree or the machine. */
  readonly pid?: number;
  /** The thread, where it is a thread's. */
  readonly tid?: number;
  /** The plugin (or "core") that says so. */
  readonly plugin: string;
  /** One sentence without a full stop: what, and why it cannot be saved. */
  readonly what: string;
  /** What the user can do about it. */
  readonly hint?: string;
  /** Whether whatever else is said of the task may only follow from it, and is left out. */
  readonly decisive?: boolean;
  /** Whether it passes by itself when the program goes on for a moment: then a checkpoint is tried again. */
  readonly passing?: boolean;
}

/** Further facts of a {@link StasisError}. */
export interface ErrorDetails {
  /** The task concerned. */
  readonly pid?: number;
  /** The errno by name, for example `EPERM`. */
  readonly errno?: string;
  /** What to do about it, one sentence. */
  readonly hint?: string;
  /** All problems that were gathered before refusing. */
  readonly problems?: readonly Problem[];
  /** The plugin in whose hook it happened. */
  readonly plugin?: string;
  /** The error behind this one. */
  readonly cause?: unknown;
}

/** Every failure that Stasis reports is one of these. */
export class StasisError extends Error {
  override readonly name: string = "StasisError";
  /** The stable kind of the failure. */
  readonly code: ErrorCode;
  /** The task concerned, if one is. */
  readonly pid?: number;
  /** The errno by name, if the kernel refused something. */
  readonly errno?: string;
  /** What to do about it. */
  readonly hint?: string;
  /** All problems gathered by a survey; empty otherwise. */
  readonly problems: readonly Problem[];
  /** The plugin in whose hook it happened. */
  readonly plugin?: string;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.pid = details.pid;
    this.errno = details.errno;
    this.hint = details.hint;
    this.problems = details.problems ?? [];
    this.plugin = details.plugin;
  }

  /** The exit status that the command line ends with for this error. */
  get exitStatus(): number {
    return EXIT_STATUS[this.code];
  }
}
