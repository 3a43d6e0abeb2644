/**
 * Reading clocks and timers of this process.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { type FdInfo, readFdInfo, type TimerFdInfo } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { joinNanoseconds } from "../../images/time.ts";

/** What a clock says now, in nanoseconds. @throws {StasisError} `bad-image` of a clock that there is none of */
export function clockNow(clock: number): bigint {
  const words = new BigUint64Array(2);
  const result = syscall(SYSCALLS.clock_gettime, clock, words);
  if (isErrno(result)) {
    throw new StasisError("bad-image", `a timerfd uses clock ${clock}, which cannot be read`, {
      errno: errnoName(-result),
    });
  }
  return joinNanoseconds(words[0] as bigint, words[1] as bigint);
}

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
