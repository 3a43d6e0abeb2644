/**
 * Timers between the kernel's structures and the images. Sources: setitimer(2), timer_create(2);
 * `include/uapi/linux/time.h`, `include/uapi/asm-generic/siginfo.h` (struct sigevent).
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  itimer_entry,
  itimer_entrySchema,
  posix_timer_entry,
  posix_timer_entrySchema,
} from "../../images/gen/timers_pb.ts";
import type { PosixTimer } from "../../core/linux/procfs/mod.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** `struct itimerval`. */
export const itimerval = defineStruct("itimerval", 32, {
  intervalSec: [0, "i64"],
  intervalUsec: [8, "i64"],
  valueSec: [16, "i64"],
  valueUsec: [24, "i64"],
});

/** `struct itimerspec`. */
export const itimerspec = defineStruct("itimerspec", 32, {
  intervalSec: [0, "i64"],
  intervalNsec: [8, "i64"],
  valueSec: [16, "i64"],
  valueNsec: [24, "i64"],
});

/** `struct sigevent`. */
export const sigevent = defineStruct("sigevent", 64, {
  value: [0, "u64"],
  signo: [8, "i32"],
  notify: [12, "i32"],
  tid: [16, "i32"],
});

/** How a timer tells (`include/uapi/asm-generic/siginfo.h`). */
export const SIGEV = { SIGNAL: 0, NONE: 1, THREAD: 2, THREAD_ID: 4 } as const;

/** The image's form of what getitimer(2) told. */
export function encodeItimer(bytes: Uint8Array): MessageInitShape<typeof itimer_entrySchema> {
  const { intervalSec, intervalUsec, valueSec, valueUsec } = itimerval.read(bytes);
  return { isec: intervalSec, iusec: intervalUsec, vsec: valueSec, vusec: valueUsec };
}

/**
 * What setitimer(2) is to be told; undefined where the timer is off.
 *
 * An interval with no time left is that of a timer that has fired and stands still until its signal is
 * taken (`it_real_fn()` of `kernel/time/itimer.c`). It is set to fire at once: the signal waits already, so that
 * this changes nothing, and goes on when it is taken.
 */
export function decodeItimer(entry: itimer_entry | undefined): Uint8Array | undefined {
  if (entry === undefined) return undefined;
  const { isec, iusec, vsec } = entry;
  const fired = vsec === 0n && entry.vusec === 0n;
  if (fired && isec === 0n && iusec === 0n) return undefined;
  const vusec = fired ? 1n : entry.vusec;
  return itimerval.make({
    intervalSec: isec,
    intervalUsec: iusec,
    valueSec: vsec,
    valueUsec: vusec,
  });
}

/**
 * The image's form of a POSIX timer.
 *
 * @param spec what timer_gettime(2) told
 * @param overrun what timer_getoverrun(2) told
 */
export function encodePosixTimer(
  timer: PosixTimer,
  spec: Uint8Array,
  overrun: number,
): MessageInitShape<typeof posix_timer_entrySchema> {
  const { intervalSec, intervalNsec, valueSec, valueNsec } = itimerspec.read(spec);
  return {
    itId: timer.id,
    // The clocks of processes and threads have negative numbers; the image's field has no sign.
    clockId: timer.clockId >>> 0,
    siSigno: timer.signal,
    itSigevNotify: notifyOf(timer),
    sivalPtr: timer.sigval,
    overrun,
    isec: intervalSec,
    insec: intervalNsec,
    vsec: valueSec,
    vnsec: valueNsec,
    notifyThreadId: timer.tid,
  };
}

function notifyOf({ notify, tid }: PosixTimer): number {
  if (tid !== undefined) return SIGEV.THREAD_ID;
  return notify === "none" ? SIGEV.NONE : notify === "thread" ? SIGEV.THREAD : SIGEV.SIGNAL;
}

/** The sigevent that timer_create(2) is to be told. */
export function decodeSigevent(entry: posix_timer_entry): Uint8Array {
  return sigevent.make({
    value: entry.sivalPtr,
    signo: entry.siSigno,
    notify: entry.itSigevNotify,
    tid: entry.itSigevNotify === SIGEV.THREAD_ID ? entry.notifyThreadId ?? 0 : 0,
  });
}

/**
 * What timer_settime(2) is to be told; undefined where the timer is off.
 *
 * @param atOnce it is to fire at once
 */
export function decodeSpec(entry: posix_timer_entry, atOnce: boolean): Uint8Array | undefined {
  const { isec, insec } = entry;
  const { vsec, vnsec } = atOnce ? { vsec: 0n, vnsec: 1n } : entry;
  if (vsec === 0n && vnsec === 0n) return undefined;
  return itimerspec.make({
    intervalSec: isec,
    intervalNsec: insec,
    valueSec: vsec,
    valueNsec: vnsec,
  });
}
