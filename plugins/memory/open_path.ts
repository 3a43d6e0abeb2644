/**
 * Opening what has no other name than one below /proc.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;

/** Opens a path below /proc here. @throws {StasisError} `no-privilege`, `syscall` */
export function openPath(path: string, flags: number): OwnedDescriptor {
  const fd = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), flags | O_CLOEXEC, 0);
  if (!isErrno(fd)) return new OwnedDescriptor(Number(fd));
  const errno = errnoName(-fd);
  const denied = errno === "EPERM" || errno === "EACCES";
  throw new StasisError(denied ? "no-privilege" : "syscall", `${path} cannot be opened: ${errno}`, {
    errno,
    hint: denied ? "shared memory can be saved by root, or with CAP_CHECKPOINT_RESTORE" : undefined,
  });
}
