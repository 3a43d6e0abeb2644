/**
 * Memory of this process outside of V8's heap, in huge pages where there are any: the first touch of a page of 4 KiB
 * takes longer than copying it, that of a huge one a tenth for each byte.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** The size of a huge page of x86-64, in bytes. */
const HUGE = 1n << 21n;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const MADV_HUGEPAGE = 14;

/** A piece of such memory; disposing of it gives it back, and nobody may look at its bytes any more. */
export class HugeMemory implements Disposable {
  /** The memory, full of zeros. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where it lies. */
  readonly address: bigint;
  readonly #mapped: bigint;
  readonly #length: bigint;
  #open = true;

  /** @param size in bytes, more than 0 @throws {StasisError} `syscall` where there is not so much */
  constructor(size: number) {
    this.#length = BigInt(size) + HUGE;
    this.#mapped = syscall(
      SYSCALLS.mmap,
      0,
      this.#length,
      PROT_READ_WRITE,
      MAP_PRIVATE_ANONYMOUS,
      -1,
      0,
    );
    if (isErrno(this.#mapped)) {
      const errno = errnoName(-this.#mapped);
      throw new StasisError("syscall", `there is no memory of ${size} bytes here: ${errno}`, {
        errno,
      });
    }
    this.address = (this.#mapped + HUGE - 1n) & ~(HUGE - 1n);
    // A kernel without them gives small ones.
    syscall(SYSCALLS.madvise, this.address, size, MADV_HUGEPAGE);
    const pointer = Deno.UnsafePointer.create(this.address) as Deno.PointerObject;
    this.bytes = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size));
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    syscall(SYSCALLS.munmap, this.#mapped, this.#length);
  }
}
