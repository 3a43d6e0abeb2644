/**
 * userfaultfd(2) for one purpose: to be told which pages of a process have been written to. With UFFD_FEATURE_WP_ASYNC
 * (Linux 6.7) a write to a protected page takes the protection away within the kernel, nobody waits for anybody, and
 * PAGEMAP_SCAN tells the pages that have none. Source: `include/uapi/linux/userfaultfd.h`, `fs/userfaultfd.c`,
 * Documentation/admin-guide/mm/userfaultfd.rst.
 *
 * @module
 */
import { errnoName, isErrno } from "./errno.ts";
import { ioctl, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import type { AddressRange } from "./procfs/mod.ts";
import { defineStruct } from "./struct.ts";
import { callAside } from "./x86_64/call_batch_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const O_CLOEXEC = 0o2000000, O_NONBLOCK = 0o4000;
/** UFFD_USER_MODE_ONLY: what every user may have. Faults of the kernel's own writes are resolved all the same. */
const USER_MODE_ONLY = 1;

/** The flags of the system call. */
export const UFFD_FLAGS = O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY;

/** UFFD_API. */
const API_VERSION = 0xaan;
/** _IOWR(UFFDIO, 0x3f, struct uffdio_api), _IOWR(UFFDIO, 0, struct uffdio_register) and so on. */
const UFFDIO_API = 0xc018aa3f, UFFDIO_REGISTER = 0xc020aa00, UFFDIO_WRITEPROTECT = 0xc018aa06;
/** UFFD_FEATURE_WP_ASYNC: brings UFFD_FEATURE_WP_UNPOPULATED with it. */
const WP_ASYNC = 1n << 15n;
/** UFFDIO_REGISTER_MODE_WP. */
const MODE_WP = 1n << 1n;

/** How much is given back by one call, in bytes. */
const PIECE = 1n << 26n;

const uffdioApi = defineStruct("uffdio_api", 24, {
  api: [0, "u64"],
  features: [8, "u64"],
  ioctls: [16, "u64"],
});
const uffdioRegister = defineStruct("uffdio_register", 32, {
  start: [0, "u64"],
  len: [8, "u64"],
  mode: [16, "u64"],
  ioctls: [24, "u64"],
});
const uffdioWriteprotect = defineStruct("uffdio_writeprotect", 24, {
  start: [0, "u64"],
  len: [8, "u64"],
  mode: [16, "u64"],
});

/**
 * The userfaultfd of a process, held here: it belongs to the memory of whoever made it. When it is closed nothing is
 * registered with it any more, nor protected.
 */
export class WriteTracker implements Disposable {
  readonly #uffd: OwnedDescriptor;

  private constructor(uffd: OwnedDescriptor) {
    this.#uffd = uffd;
  }

  /**
   * Takes one into use.
   *
   * @param uffd new; is closed with this, or where it cannot be used
   * @returns the name of the errno where this kernel has no asynchronous protection (EINVAL)
   */
  static open(uffd: OwnedDescriptor): WriteTracker | string {
    const api = uffdioApi.make({ api: API_VERSION, features: WP_ASYNC });
    const result = ioctl(uffd.fd, UFFDIO_API, api);
    if (result >= 0) return new WriteTracker(uffd);
    uffd[Symbol.dispose]();
    return errnoName(-result);
  }

  /**
   * Registers memory; what is registered with this already stays so.
   *
   * @returns whether it is: not where it is registered with another one (EBUSY), cannot be (EINVAL, EPERM), or the
   * process has other memory by now (ESRCH)
   */
  register({ start, end }: AddressRange): boolean {
    const range = uffdioRegister.make({ start, len: end - start, mode: MODE_WP });
    return ioctl(this.#uffd.fd, UFFDIO_REGISTER, range) >= 0;
  }

  /**
   * Takes the protection away from registered memory: pages that were moved there may have kept some of it that
   * protects nothing (mremap(2) before Linux 6.14).
   *
   * @returns whether it was taken away
   */
  unprotect({ start, end }: AddressRange): boolean {
    const range = uffdioWriteprotect.make({ start, len: end - start, mode: 0n });
    return ioctl(this.#uffd.fd, UFFDIO_WRITEPROTECT, range) >= 0;
  }

  /**
   * Takes the protection away from all of some ranges, piece by piece in another thread, and closes it: the kernel would
   * do so at once, with the memory of the process locked, which must wait meanwhile (30 ms for each gigabyte).
   */
  async giveBack(ranges: readonly AddressRange[]): Promise<void> {
    const pieces = ranges.flatMap(({ start, end }) => {
      const starts: bigint[] = [];
      for (let at: bigint = start; at < end; at += PIECE) starts.push(at);
      return starts.map((at) => ({ start: at, len: at + PIECE < end ? PIECE : end - at }));
    });
    const { size } = uffdioWriteprotect;
    const structs = new Uint8Array(Math.max(pieces.length, 1) * size);
    const calls = pieces.map((piece, index) => {
      const argument = structs.subarray(index * size, (index + 1) * size);
      argument.set(uffdioWriteprotect.make({ ...piece, mode: 0n }));
      return { name: "ioctl" as const, args: [this.#uffd.fd, UFFDIO_WRITEPROTECT, argument] };
    });
    // What is not registered any more needs nothing.
    await callAside(calls, [structs]);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#uffd[Symbol.dispose]();
  }
}

let known: boolean | undefined;

/** Whether this kernel has what {@link WriteTracker} needs. */
export function hasWriteTracking(): boolean {
  if (known !== undefined) return known;
  const made = syscall(SYSCALLS.userfaultfd, UFFD_FLAGS);
  if (isErrno(made)) return known = false;
  const tracker = WriteTracker.open(new OwnedDescriptor(Number(made)));
  if (typeof tracker !== "string") tracker[Symbol.dispose]();
  return known = typeof tracker !== "string";
}
