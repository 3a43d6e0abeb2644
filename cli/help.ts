/**
 * Texts that the help of several commands has.
 *
 * @module
 */
import { type ErrorCode, EXIT_STATUS } from "../base/errors.ts";

/** What Stasis is. */
export const PROGRAM_DESCRIPTION =
  "Checkpoint and restore of Linux process trees, also of those that use Syscall User Dispatch.";

/** What the exit statuses mean, by the error that each stands for. */
export const STATUS_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  internal: "a defect of Stasis or of a plugin",
  usage: "arguments or options that make no sense",
  "no-such-task": "the process does not exist, or is gone meanwhile",
  unsupported: "the process has something that cannot be saved",
  "no-privilege": "a privilege is missing",
  "kernel-too-old": "this kernel lacks what is needed",
  "bad-image": "the image directory is missing, damaged or cannot be used here",
  exists: "the image directory or pid file to write exists already",
  conflict: "at restore a pid or a name is taken, or a file has changed",
  io: "reading or writing failed (a full disk, for example)",
  syscall: "a system call in or on a process failed",
  timeout: "the tree did not come to stand still in time, or would have for too long",
  cancelled: "cancelled (SIGINT, SIGTERM, SIGHUP, SIGQUIT)",
};

/** The exit status of `stasis run` that says: start me again (EX_TEMPFAIL of sysexits.h). */
export const SAVED_STATUS = 75;

/** The statuses other than 0 with what they mean, in ascending order. */
export function exitStatuses(): readonly (readonly [status: number, meaning: string])[] {
  const ofErrors = Object.entries(EXIT_STATUS).map(([code, status]) =>
    [status, STATUS_MEANINGS[code as ErrorCode]] as const
  );
  const saved = "of run: the job is saved, and the same command line takes it up";
  return [...ofErrors, [SAVED_STATUS, saved] as const].sort(([a], [b]) => a - b);
}

/** The exit statuses, for the end of a help text. */
export function exitStatusHelp(): string {
  const lines = exitStatuses().map(([status, meaning]) =>
    `  ${String(status).padStart(3)}  ${meaning}`
  );
  return ["", "Exit status:", "    0  done", ...lines].join("\n");
}

/** Examples, for the end of a help text: pairs of a command and what it does. */
export function examplesHelp(examples: readonly (readonly [string, string])[]): string {
  const lines = examples.flatMap(([command, what]) => [`  # ${what}`, `  ${command}`]);
  return ["", "Examples:", ...lines].join("\n");
}

/** Where to read of exit statuses, for the help of single commands. */
export const STATUS_POINTER = "\n\nExit statuses are listed by: stasis --help";
