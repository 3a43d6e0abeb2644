/**
 * What happens to a job, as it is told.
 *
 * @module
 */
import type { StasisError } from "../base/errors.ts";
import { asStasisError } from "../base/thrown.ts";

/** Something that has happened to a job. */
export type JobEvent =
  /** It was begun. */
  | { readonly event: "started"; readonly pid: number }
  /** It was taken up again from a checkpoint, as `pid` here and `innerPid` in its own eyes. */
  | {
    readonly event: "taken-up";
    readonly checkpoint: number;
    readonly pid: number;
    readonly innerPid: number;
  }
  /** It was saved, and runs on, unless `ended`. */
  | {
    readonly event: "saved";
    readonly checkpoint: number;
    readonly bytes: number;
    readonly frozenMs: number;
    readonly totalMs: number;
    readonly ended: boolean;
  }
  /** It was saved, and what was to be done after that has failed: nothing more is known of it. */
  | { readonly event: "adopted"; readonly checkpoint: number; readonly ended: boolean }
  /** It could not be saved, and runs on as it was. */
  | { readonly event: "not-saved"; readonly error: StasisError }
  /** This one gets what it has from those before it, so that they can go. */
  | { readonly event: "merging"; readonly checkpoint: number }
  /** Checkpoints that are needed no more were deleted. */
  | { readonly event: "pruned"; readonly checkpoints: readonly number[] }
  /** Something else has failed, for which the job is none the worse. */
  | { readonly event: "failed"; readonly error: StasisError }
  /** Something the user should know, once. */
  | { readonly event: "note"; readonly text: string }
  /** It has ended. */
  | { readonly event: "ended"; readonly code?: number; readonly signal?: number }
  /** It had ended before, and was not taken up again. */
  | { readonly event: "not-taken-up"; readonly code: number; readonly endedAt: string };

/** Is told of events. It must not throw. */
export type JobListener = (event: JobEvent) => void;

/** Does something without which the job is none the worse, and tells what fails of it: a full disk stops no job. */
export function tellIfFails(tell: JobListener, action: () => void): void {
  try {
    action();
  } catch (error) {
    tell({ event: "failed", error: asStasisError(error) });
  }
}
