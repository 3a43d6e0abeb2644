/**
 * Printing results.
 *
 * @module
 */
import { ioError } from "../../base/io_error.ts";

/**
 * Prints a result on stdout.
 *
 * @throws {StasisError} `io` where it cannot be written: a full disk, a pipe that nobody reads
 */
export function print(text: string): void {
  try {
    console.log(text);
  } catch (cause) {
    throw ioError("print the result", cause);
  }
}
