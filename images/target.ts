/**
 * The place that an image directory is to have.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { ioError } from "../base/io_error.ts";
import { parentPath } from "./path.ts";

/**
 * Refuses a place that a directory cannot be renamed to.
 *
 * @param target absolute
 * @throws {StasisError} `exists` where something is there, `usage` where it is a mount point, `io`
 */
export function checkTarget(target: string): void {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(target);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return;
    throw ioError(`look at ${target}`, cause);
  }
  if (!info.isDirectory) {
    throw new StasisError("exists", `${target} exists and is not a directory`, {
      hint: "name a directory that does not exist yet",
    });
  }
  try {
    for (const _ of Deno.readDirSync(target)) {
      throw new StasisError("exists", `the directory ${target} exists and is not empty`, {
        hint: "name a directory that does not exist yet, or an empty one",
      });
    }
    if (info.dev !== Deno.statSync(parentPath(target)).dev || parentPath(target) === target) {
      throw new StasisError("usage", `${target} is a mount point, which images cannot replace`, {
        hint: "name a directory inside it that does not exist yet",
      });
    }
  } catch (cause) {
    throw ioError(`look at ${target}`, cause);
  }
}
