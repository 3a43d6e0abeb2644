/**
 * Printing results.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoOf } from "../../base/io_error.ts";

/**
 * Prints a result on stdout.
 *
 * @param done what has been done nevertheless, for the message: `the images are in DIR`
 * @throws {StasisError} `io` where it cannot be written: a full disk, a pipe that nobody reads
 */
export function print(text: string, done?: string): void {
  try {
    console.log(text);
  } catch (cause) {
    const errno = errnoOf(cause);
    const why = errno ?? (cause instanceof Error ? cause.message : String(cause));
    throw new StasisError("io", `cannot print the result: ${why}${done ? `; ${done}` : ""}`, {
      errno,
      cause,
    });
  }
}
