/**
 * `/proc/PID/pagemap`, open: it belongs to the memory that the process had then, whatever program it executes later.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, isErrno } from "./errno.ts";
import { AT_FDCWD, O } from "./fcntl.ts";
import { fileError } from "./files.ts";
import { addressOf, cString, ioctl, pread, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import type { PagemapAccess } from "./procfs/mod.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** What scans of memory work on. */
export class OpenPagemap implements PagemapAccess, Disposable {
  readonly ioctl = ioctl;
  readonly pread = pread;
  readonly addressOf = addressOf;
  readonly #file: OwnedDescriptor;

  /** @throws {StasisError} `no-such-task`, `no-privilege`, `io` */
  constructor(tid: number) {
    const path = `/proc/${tid}/pagemap`;
    const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), O.RDONLY | O.CLOEXEC, 0);
    if (opened === -BigInt(Errno.ENOENT) || opened === -BigInt(Errno.ESRCH)) {
      throw new StasisError("no-such-task", `there is no task ${tid}`, { pid: tid });
    }
    if (isErrno(opened)) throw fileError("open", path, opened);
    this.#file = new OwnedDescriptor(Number(opened));
  }

  /** Its number. */
  get fd(): number {
    return this.#file.fd;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
