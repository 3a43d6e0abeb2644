/**
 * Putting files on the disk with what Deno has.
 *
 * @module
 */
import { errnoOf, ioError } from "../base/io_error.ts";
import { imageNames, PARENT } from "./parent.ts";

/** fsync(2) of each file of an image directory, then of the directory itself. @throws {StasisError} `io` */
export function syncEachFile(directory: string): void {
  const names = imageNames(directory);
  for (const name of names) syncPath(`${directory}/${name}`);
  if (names.some((name) => name.startsWith(`${PARENT}/`))) syncPath(`${directory}/${PARENT}`);
  syncPath(directory);
}

/** fsync(2) of a file or directory. @throws {StasisError} `io` */
export function syncPath(path: string): void {
  try {
    using file = Deno.openSync(path, { read: true });
    file.syncSync();
  } catch (cause) {
    // Some file systems know no fsync of directories: then there is nothing to wait for.
    if (errnoOf(cause) === "EINVAL") return;
    throw ioError(`write ${path} to the disk`, cause);
  }
}
