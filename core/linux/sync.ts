/**
 * syncfs(2): one call writes a whole image directory to the disk.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/**
 * Writes everything of the file system on which a directory lies to the disk.
 *
 * @throws {StasisError} `io`
 */
export function syncFileSystem(directory: string): void {
  const O_RDONLY_DIRECTORY = 0o200000;
  const opened = syscall(SYSCALLS.openat, -100, cString(directory), O_RDONLY_DIRECTORY, 0);
  if (isErrno(opened)) throw failed(directory, opened);
  using file = new OwnedDescriptor(Number(opened));
  const synced = syscall(SYSCALLS.syncfs, file.fd);
  if (isErrno(synced)) throw failed(directory, synced);
}

function failed(directory: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("io", `${directory} cannot be written to the disk: ${errno}`, { errno });
}
