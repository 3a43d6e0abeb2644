/**
 * Signals of POSIX timers that wait to be delivered. Such a signal is the timer's own: as long as it waits,
 * an interval timer stands still, and the expirations that it misses are told as the overrun of this one
 * signal (`posixtimer_deliver_signal()` of `kernel/time/posix-timers.c`). A copy in the queue would know
 * nothing of its timer. So the timer is made to send it: it is set to fire at once.
 *
 * @module
 */
import type { posix_timer_entry } from "../../images/gen/timers_pb.ts";
import type { Siginfo } from "../../core/linux/siginfo.ts";
import { cpuClock } from "./clock.ts";

/** `si_code` of a signal that a POSIX timer sent (`include/uapi/asm-generic/siginfo.h`). */
const SI_TIMER = -2;

/**
 * Whether a clock measures CPU time. A timer on one fires at a clock tick at the earliest, when the process
 * runs again, which may be too late for a signal that waited already.
 */
function isCpuClock(clockId: number): boolean {
  return cpuClock(clockId) !== undefined;
}

/** Whether this is the signal of this timer. `si_timerid` is the first half of the siginfo's payload. */
function isOf(info: Siginfo, timer: posix_timer_entry): boolean {
  return info.code === SI_TIMER && info.signal === timer.siSigno &&
    Number(info.payload & 0xffffffffn) === timer.itId;
}

/** Whether a waiting signal comes from one of these timers, which will send it again by itself. */
export function sendsItself(info: Siginfo, timers: readonly posix_timer_entry[]): boolean {
  return timers.some((timer) => !isCpuClock(timer.clockId) && isOf(info, timer));
}

/** Whether a timer is to fire at once, since its signal waits. */
export function firesAtOnce(timer: posix_timer_entry, waiting: readonly Siginfo[]): boolean {
  return !isCpuClock(timer.clockId) && waiting.some((info) => isOf(info, timer));
}
