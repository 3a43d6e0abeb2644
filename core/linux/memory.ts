/**
 * The memory of another process through `/proc/PID/mem`: a tracer reads and writes through it whatever the
 * protection of the pages says (`FOLL_FORCE` in `fs/proc/base.c`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { pread, pwrite, syscall } from "./libc_ffi.ts";
import { errnoName, isErrno } from "./errno.ts";
import { taskExists } from "./procfs/mod.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";
import { cString } from "./libc_ffi.ts";
import type { RemoteAddress } from "./address.ts";

const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;

/** An open `/proc/PID/mem`. */
export class ProcessMemory implements Disposable {
  readonly #pid: number;
  #fd: number;

  /** @throws {StasisError} `no-such-task`, or `no-privilege` where the task may not be traced */
  constructor(pid: number) {
    this.#pid = pid;
    const path = cString(`/proc/${pid}/mem`);
    const fd = syscall(SYSCALLS.openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (isErrno(fd)) {
      const errno = errnoName(-fd);
      const forbidden = errno === "EACCES" || errno === "EPERM";
      throw new StasisError(
        !taskExists(pid) ? "no-such-task" : forbidden ? "no-privilege" : "syscall",
        `the memory of task ${pid} cannot be opened: ${errno}`,
        { pid, errno },
      );
    }
    this.#fd = Number(fd);
  }

  /** The descriptor here. */
  get fd(): number {
    return this.#fd;
  }

  /** Reads exactly as many bytes as the buffer holds. @throws {StasisError} `syscall` where a part is unmapped */
  readInto(address: RemoteAddress, buffer: Uint8Array): void {
    this.#all(address, buffer, pread, "read");
  }

  /** Reads `size` bytes. */
  read(address: RemoteAddress, size: number): Uint8Array<ArrayBuffer> {
    const buffer = new Uint8Array(size);
    this.readInto(address, buffer);
    return buffer;
  }

  /** Writes all bytes, through read-only private mappings too. */
  write(address: RemoteAddress, bytes: Uint8Array): void {
    this.#all(address, bytes, pwrite, "written");
  }

  #all(
    address: RemoteAddress,
    buffer: Uint8Array,
    transfer: (fd: number, part: Uint8Array, offset: bigint) => number,
    verb: string,
  ): void {
    let done = 0;
    while (done < buffer.byteLength) {
      const part = done === 0 ? buffer : buffer.subarray(done);
      let count = transfer(this.#fd, part, address + BigInt(done));
      // Once more: results of calls in the task are read here, which nobody could undo without knowing them.
      if (count < 0) count = transfer(this.#fd, part, address + BigInt(done));
      if (count <= 0) {
        const errno = count === 0 ? "ESRCH" : errnoName(-count);
        throw new StasisError(
          count === 0 ? "no-such-task" : "syscall",
          `${buffer.byteLength} bytes at 0x${
            address.toString(16)
          } of task ${this.#pid} cannot be ` +
            `${verb}: ${errno}`,
          { pid: this.#pid, errno },
        );
      }
      done += count;
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    syscall(SYSCALLS.close, this.#fd);
    this.#fd = -1;
  }
}
