/**
 * The numbers among the names in a directory of `/proc`: threads, descriptors, processes. Each of many processes has
 * some such directories, and they are read while it stands still.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const AT_FDCWD = -100;
/** O_RDONLY, O_DIRECTORY and O_CLOEXEC. */
const FLAGS = 0o200000 | 0o2000000;
/** `struct linux_dirent64`: where the record's length, 2 bytes, and the name stand. */
const LENGTH = 16, NAME = 19;
const ZERO = 0x30, NINE = 0x39;

const buffer = new Uint8Array(1 << 15);

/**
 * Those numbers, ascending.
 *
 * @param path text alone
 * @throws {StasisError} `io` with the errno's name
 */
export function readNumbers(path: string): number[] {
  const fd = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), FLAGS, 0);
  if (isErrno(fd)) throw failure(path, fd);
  const numbers: number[] = [];
  try {
    for (;;) {
      const size = syscall(SYSCALLS.getdents64, fd, buffer, buffer.byteLength);
      if (isErrno(size)) throw failure(path, size);
      if (size === 0n) break;
      for (let at = 0; at < Number(size);) {
        const number = numberAt(at + NAME);
        if (number !== undefined) numbers.push(number);
        at += (buffer[at + LENGTH] as number) | (buffer[at + LENGTH + 1] as number) << 8;
      }
    }
  } finally {
    syscall(SYSCALLS.close, fd);
  }
  return numbers.sort((a, b) => a - b);
}

/** The number that a name is; undefined where it is none. */
function numberAt(name: number): number | undefined {
  let number = 0;
  for (let at = name;; at++) {
    const digit = buffer[at] as number;
    if (digit === 0) return at === name ? undefined : number;
    if (digit < ZERO || digit > NINE) return undefined;
    number = 10 * number + digit - ZERO;
  }
}

function failure(path: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("io", `could not read ${path}: ${errno}`, { errno });
}
