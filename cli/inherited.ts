/**
 * Descriptors that this command was given by whoever started it.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { isErrno } from "../core/linux/errno.ts";
import { F, O, statusFlags } from "../core/linux/fcntl.ts";
import { syscall } from "../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../core/linux/x86_64/syscalls.ts";

const FD_CLOEXEC = 1n;

/**
 * Refuses a descriptor that this command was not given. Those of the runtime itself are open as well, under whatever
 * numbers were free; but each of them is closed by execve(2), and what was inherited by one cannot be.
 *
 * @param option what names it, for the message
 * @throws {StasisError} `usage`
 */
export function requireInherited(fd: number, option: string): void {
  const flags = syscall(SYSCALLS.fcntl, fd, F.GETFD, 0);
  if (!isErrno(flags) && (flags & FD_CLOEXEC) === 0n) return;
  throw new StasisError("usage", `${option} names descriptor ${fd}, which is not open`, {
    hint: `open it by a redirection of the shell, as in: ${fd}<>file`,
  });
}

/** Reads the number of a descriptor that this command was given. @throws {StasisError} `usage` */
export function parseInherited(text: string, option: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    throw new StasisError("usage", `"${text}" is no descriptor`, {
      hint: `give its number, as in: ${option} 5`,
    });
  }
  const fd = Number(text);
  requireInherited(fd, option);
  return fd;
}

/** Refuses a descriptor that is open and cannot be written to. @throws {StasisError} `usage`, `syscall` */
export function requireWritable(fd: number, option: string): void {
  const flags = statusFlags(fd);
  if ((flags & O.ACCMODE) !== O.RDONLY && (flags & O.PATH) === 0) return;
  throw new StasisError(
    "usage",
    `${option} names descriptor ${fd}, which is not open for writing`,
    {
      hint: `redirect it, as in: ${fd}>file`,
    },
  );
}
