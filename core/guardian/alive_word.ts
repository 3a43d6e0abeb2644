/**
 * A word that tells programs in targets whether the tool lives: the kernel itself marks it when the thread that
 * traces them ends, before it lets go of the tracees.
 *
 * It is a robust futex (set_robust_list(2)) in a page of a memory file, which targets map. A thread's list of them is
 * looked through when it ends (`exit_robust_list()` of `kernel/futex/core.c`, from `exit_mm_release()`), its tracees
 * are let go of later (`exit_notify()`), so a program that looks at the word before each of its calls makes none
 * with its filters in force again.
 *
 * The page is sealed: targets can only read it. The list itself, which the kernel follows, lies in memory of this process
 * alone.
 *
 * libc's own list of the thread is set aside meanwhile: nothing in this process has robust mutexes.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { remoteAddress } from "../linux/address.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { cString, pwrite, syscall } from "../linux/libc_ffi.ts";
import { ProcessMemory } from "../linux/memory.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

const PAGE = 4096;
const MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE (`include/uapi/linux/fcntl.h`; Linux 5.1). */
const NOBODY_ELSE_WRITES = 0x1 | 0x2 | 0x4 | 0x10;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20;
/** The size of a `struct robust_list_head` (`include/uapi/linux/futex.h`): first entry, offset, pending. */
const HEAD_SIZE = 24;

/** The word of this thread. */
export class AliveWord implements Disposable {
  /** The memory file. */
  readonly fd: number;
  readonly #word: bigint;
  readonly #list: bigint;
  readonly #former: bigint;

  /** @throws {StasisError} `syscall` */
  constructor() {
    this.fd = Number(
      must(
        syscall(SYSCALLS.memfd_create, cString("stasis-alive"), MFD_CLOEXEC | MFD_ALLOW_SEALING),
        "memfd_create",
      ),
    );
    const page = new Uint8Array(PAGE);
    new DataView(page.buffer).setUint32(0, Number(syscall(SYSCALLS.gettid)), true);
    must(BigInt(pwrite(this.fd, page, 0n)), "pwrite");
    const map = (flags: number, fd: number) =>
      must(syscall(SYSCALLS.mmap, 0, PAGE, PROT_READ_WRITE, flags, fd, 0), "mmap");
    this.#word = map(MAP_SHARED, this.fd);
    this.#list = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
    // The targets of a checkpoint share the word, and one of them that wrote to it would take it from the others.
    must(syscall(SYSCALLS.fcntl, this.fd, F_ADD_SEALS, NOBODY_ELSE_WRITES), "fcntl(F_ADD_SEALS)");

    const former = new BigUint64Array(2);
    const [head, length] = [former.subarray(0, 1), former.subarray(1)];
    must(syscall(SYSCALLS.get_robust_list, 0, head, length), "get_robust_list");
    this.#former = former[0] as bigint;
    // The only entry stands behind the head, and leads back to it.
    const entry = this.#list + BigInt(HEAD_SIZE);
    const words = BigUint64Array.of(entry, BigInt.asUintN(64, this.#word - entry), 0n, this.#list);
    {
      using memory = new ProcessMemory(Deno.pid);
      memory.write(remoteAddress(this.#list), new Uint8Array(words.buffer));
    }
    must(syscall(SYSCALLS.set_robust_list, this.#list, HEAD_SIZE), "set_robust_list");
  }

  [Symbol.dispose](): void {
    syscall(SYSCALLS.set_robust_list, this.#former, HEAD_SIZE);
    syscall(SYSCALLS.munmap, this.#list, PAGE);
    syscall(SYSCALLS.munmap, this.#word, PAGE);
    syscall(SYSCALLS.close, this.fd);
  }
}

function must(result: bigint, what: string): bigint {
  if (!isErrno(result)) return result;
  const errno = errnoName(-result);
  throw new StasisError(
    "syscall",
    `no word can tell targets that this tool lives: ${what}: ${errno}`,
    {
      errno,
    },
  );
}
