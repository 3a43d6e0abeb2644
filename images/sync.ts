/**
 * Putting files on the disk with what Deno has.
 *
 * @module
 */
import { errnoOf, ioError } from "../base/io_error.ts";

/** fsync(2) of each file in a directory, then of the directory itself. @throws {StasisError} `io` */
export function syncEachFile(directory: string): void {
  for (const entry of Deno.readDirSync(directory)) syncPath(`${directory}/${entry.name}`);
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
