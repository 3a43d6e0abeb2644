/**
 * Taking a duplicate of another task's descriptor: pidfd_open(2), pidfd_getfd(2).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import { taskExists } from "./procfs/read.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** A descriptor of this process that is closed with its scope. */
export class OwnedDescriptor implements Disposable {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Its number. */
  get fd(): number {
    return this.#fd;
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    syscall(SYSCALLS.close, this.#fd);
    this.#fd = -1;
  }
}

function must(result: bigint, what: string, pid: number): number {
  if (isErrno(result)) {
    const errno = errnoName(-result);
    // Of a process that is just being reaped some kernels say EINVAL (pidfd_create() of kernel/pid.c).
    const code = errno === "ESRCH" || !taskExists(pid)
      ? "no-such-task"
      : errno === "EPERM"
      ? "no-privilege"
      : "syscall";
    throw new StasisError(code, `${what} of task ${pid} failed: ${errno}`, { pid, errno });
  }
  return Number(result);
}

/** A descriptor for a process (pidfd_open(2), Linux 5.3). */
export function openPidfd(pid: number): OwnedDescriptor {
  return new OwnedDescriptor(must(syscall(SYSCALLS.pidfd_open, pid, 0), "pidfd_open", pid));
}

/** PIDFD_THREAD (`include/uapi/linux/pidfd.h`), Linux 6.9: of a thread that is not the first of its process. */
export const PIDFD_THREAD = 0o200;

let threadPidfds: boolean | undefined;

/** Whether this kernel knows {@link PIDFD_THREAD}. */
export function hasThreadPidfds(): boolean {
  if (threadPidfds === undefined) {
    const fd = syscall(SYSCALLS.pidfd_open, syscall(SYSCALLS.gettid), PIDFD_THREAD);
    threadPidfds = !isErrno(fd);
    if (threadPidfds) syscall(SYSCALLS.close, fd);
  }
  return threadPidfds;
}

/**
 * The same for {@link takeDescriptor}, which looks at one thread: by one that has ended nothing can be taken.
 *
 * @param tid a thread that lives
 * @param pid its process
 */
export function openThreadPidfd(tid: number, pid: number): OwnedDescriptor {
  if (tid === pid) return openPidfd(pid);
  return new OwnedDescriptor(
    must(syscall(SYSCALLS.pidfd_open, tid, PIDFD_THREAD), "pidfd_open", pid),
  );
}

/** A duplicate here of descriptor `fd` of the process (pidfd_getfd(2), Linux 5.6). */
export function takeDescriptor(pidfd: OwnedDescriptor, pid: number, fd: number): OwnedDescriptor {
  return new OwnedDescriptor(
    mustTake(syscall(SYSCALLS.pidfd_getfd, pidfd.fd, fd, 0), pid, fd),
  );
}

/** What pidfd_getfd(2) has returned. @throws {StasisError} where that was an errno */
export function mustTake(result: bigint, pid: number, fd: number): number {
  return must(result, `pidfd_getfd(${fd})`, pid);
}
