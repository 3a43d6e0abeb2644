/**
 * Reading a timerfd.
 *
 * @module
 */
import { CLOCK } from "../../core/linux/clock_numbers.ts";
import { clockNow } from "../../core/linux/clocks.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { type FdInfo, readFdInfo, type TimerFdInfo } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

/** What is at once, in nanoseconds, and how often a timer and its clock are read to have them so. */
const AT_ONCE = 1_000_000, LOOKS = 5;

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
 * @returns it, and what its clock said in this process just then: rather a few microseconds later than earlier
 */
export function settledTimer(
  fd: number,
  before: FdInfo,
): { readonly timer: TimerFdInfo | undefined; readonly now: bigint } {
  syscall(SYSCALLS.timerfd_gettime, fd, new Uint8Array(32));
  const clock = before.timerfd?.clockId ?? CLOCK.MONOTONIC;
  let best = { timer: before.timerfd, now: 0n, took: Infinity };
  // On a busy machine this process may stand still between the two for longer than a program puts up with.
  for (let looks = 0; looks < LOOKS && best.took > AT_ONCE; looks++) {
    const since = clockNow(clock);
    const timer = readFdInfo(Deno.pid, fd)?.timerfd ?? before.timerfd;
    const now = clockNow(clock);
    const took = Number(now - since);
    if (took < best.took) best = { timer, now, took };
  }
  return best;
}
