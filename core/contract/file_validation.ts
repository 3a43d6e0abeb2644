/**
 * By what a restore tells that a file is not the one that it was at the checkpoint.
 *
 * @module
 */
import type { FileValidation, OperationOptions } from "./session.ts";

/** What the user wants compared. */
export function fileValidationOf(
  { fileValidation = "buildid", ignoreFileChange }: OperationOptions,
): FileValidation {
  return ignoreFileChange === true ? "none" : fileValidation;
}
