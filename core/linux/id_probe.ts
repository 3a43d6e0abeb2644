/**
 * Whether a number can be given to a new task, as the kernel's table of ids says.
 *
 * Since Linux 6.15 the number of a task that has been reaped is free a moment after nobody finds the task any more
 * (`release_task()` of `kernel/exit.c` calls `free_pids()` last): kill(2) says ESRCH, and clone3(2) with that number
 * EEXIST. F_SETOWN of fcntl(2) asks the table itself (`f_setown()` of `fs/fcntl.c`), and so tells of numbers of process
 * groups and sessions whose leaders are long gone as well.
 *
 * @module
 */
import { errnoNumber, isErrno } from "./errno.ts";
import { StasisError } from "../../base/errors.ts";
import { AT_FDCWD, F, O } from "./fcntl.ts";
import { syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** Asks for numbers of the pid namespace that this process is in. */
export class IdProbe implements Disposable {
  readonly #file: OwnedDescriptor;

  /** @throws {StasisError} `syscall` */
  constructor() {
    const path = new TextEncoder().encode("/dev/null\0");
    const fd = syscall(SYSCALLS.openat, AT_FDCWD, path, O.RDONLY | O.CLOEXEC, 0);
    if (isErrno(fd)) throw new StasisError("syscall", `open(/dev/null) = ${fd}`);
    this.#file = new OwnedDescriptor(Number(fd));
  }

  /** Whether a number is a process's, a thread's, a process group's or a session's. @param id above 0 */
  isTaken(id: number): boolean {
    return syscall(SYSCALLS.fcntl, this.#file.fd, F.SETOWN, id) !== -BigInt(errnoNumber("ESRCH"));
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}
