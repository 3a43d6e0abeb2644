/**
 * Making a checkpoint once more where all that stood against it passes by itself: what shows only while the tree stands
 * still, such as somebody who connects just then, is over when the program has gone on for a moment.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { sleep } from "../linux/libc_ffi.ts";

/** How often a checkpoint is made, at most. */
const ATTEMPTS = 5;
/** How long the tree is left alone before another attempt, in milliseconds, each time longer by as much. */
const PAUSE = 30;

/**
 * @param attempt makes a checkpoint, which leaves everything as it was where it fails
 * @throws {StasisError} what the last attempt threw
 */
export async function tryAgain<Result>(
  attempt: () => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  for (let count = 1;; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (count === ATTEMPTS || signal.aborted || !passes(error)) throw error;
    }
    await sleep(count * PAUSE);
  }
}

function passes(error: unknown): boolean {
  return error instanceof StasisError && error.problems.length > 0 &&
    error.problems.every(({ passing }) => passing === true);
}
