/**
 * Machine code that runs in this process, where no call of libc does what is needed.
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import { errnoName, isErrno } from "../errno.ts";
import { cString, pwrite, syscall } from "../libc_ffi.ts";
import { SYSCALLS } from "./syscalls.ts";

const PAGE = 4096;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE = 2;
const MFD_CLOEXEC = 1;

/**
 * Maps code into this process, for as long as it lives: from a memory file, so that no page is ever writable
 * and executable.
 *
 * @param name what it is, for `/proc/PID/maps` and messages
 * @param code position-independent code of at most a page (4096 bytes)
 * @returns its address
 * @throws {StasisError} `syscall`
 */
export function mapOwnCode(name: string, code: ArrayLike<number>): bigint {
  const must = (result: bigint, what: string): bigint => {
    if (!isErrno(result)) return result;
    const errno = errnoName(-result);
    const message = `the machine code ${name} cannot be mapped: ${what}: ${errno}`;
    throw new StasisError("syscall", message, { errno });
  };
  const bytes = new Uint8Array(PAGE);
  bytes.set(code);
  const fd = must(
    syscall(SYSCALLS.memfd_create, cString(`stasis-${name}`), MFD_CLOEXEC),
    "memfd_create",
  );
  try {
    must(BigInt(pwrite(Number(fd), bytes, 0n)), "pwrite");
    return must(syscall(SYSCALLS.mmap, 0, PAGE, PROT_READ_EXEC, MAP_PRIVATE, fd, 0), "mmap");
  } finally {
    syscall(SYSCALLS.close, fd);
  }
}
