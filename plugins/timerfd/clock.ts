/**
 * Reading a timerfd.
 *
 * @module
 */
import { syscall } from "../../core/linux/libc_ffi.ts";
import { type FdInfo, readFdInfo, type TimerFdInfo } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

/**
 * The state of a timerfd, up to date.
 *
 * The kernel does not run a periodic timer on while its expirations wait to be read; fdinfo then shows
 * one expiration and no time left, as if the timer were off. timerfd_gettime(2) makes up for what was
 * missed and starts it again (timerfd_get_remaining() and do_timerfd_gettime() of `fs/timerfd.c`): what
 * the program's next read would do, so it does not notice.
 *
 * @param fd a duplicate here of the descriptor
 * @param before what fdinfo said
 */
export function settledTimer(fd: number, before: FdInfo): TimerFdInfo | undefined {
  syscall(SYSCALLS.timerfd_gettime, fd, new Uint8Array(32));
  return readFdInfo(Deno.pid, fd)?.timerfd ?? before.timerfd;
}
