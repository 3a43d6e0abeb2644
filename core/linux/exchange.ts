/**
 * renameat2(2) with RENAME_EXCHANGE (`include/uapi/linux/fs.h`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { AT_FDCWD } from "./fcntl.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const RENAME_EXCHANGE = 2;

/**
 * Gives each of two files or directories the name of the other, at one moment.
 *
 * @throws {StasisError} `unsupported` where the file system cannot do that, as NFS; `io`
 */
export function exchange(one: string, other: string): void {
  const result = syscall(
    SYSCALLS.renameat2,
    AT_FDCWD,
    cString(one),
    AT_FDCWD,
    cString(other),
    RENAME_EXCHANGE,
  );
  if (!isErrno(result)) return;
  const errno = errnoName(-result);
  const isUnknown = errno === "EINVAL" || errno === "ENOSYS" || errno === "EOPNOTSUPP";
  throw new StasisError(
    isUnknown ? "unsupported" : "io",
    `${one} and ${other} cannot exchange their names: ${errno}`,
    {
      errno,
      hint: isUnknown
        ? "this file system cannot do that at one moment: keep the parents, or make a checkpoint without"
        : undefined,
    },
  );
}
