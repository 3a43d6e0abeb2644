/**
 * The clocks of this machine (clock_gettime(2)), in nanoseconds.
 *
 * @module
 */
import { joinNanoseconds } from "../../images/time.ts";
import { StasisError } from "../../base/errors.ts";
import { CLOCK } from "./clock_numbers.ts";
import { errnoName, isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import type { ClockOffsets } from "./procfs/mod.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** Clocks that tell the time of day: they go on while the machine is off. */
const WALL: ReadonlySet<number> = new Set([CLOCK.REALTIME, CLOCK.REALTIME_ALARM, CLOCK.TAI]);

/** What the clocks say at one moment. */
export interface Clocks {
  /** Names the boot that the clocks below {@link Clocks.realtime} count from. */
  readonly bootId: string;
  readonly realtime: bigint;
  readonly monotonic: bigint;
  readonly boottime: bigint;
}

/** What a clock says now. @throws {StasisError} `bad-image` of a clock that there is none of */
export function clockNow(clock: number): bigint {
  const words = new BigUint64Array(2);
  const result = syscall(SYSCALLS.clock_gettime, clock, words);
  if (isErrno(result)) {
    throw new StasisError("bad-image", `clock ${clock} cannot be read`, {
      errno: errnoName(-result),
    });
  }
  return joinNanoseconds(words[0] as bigint, words[1] as bigint);
}

/** Names this boot. */
export function readBootId(): string {
  return Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim();
}

/** What all clocks say now. */
export function readClocks(): Clocks {
  return {
    bootId: readBootId(),
    realtime: clockNow(CLOCK.REALTIME),
    monotonic: clockNow(CLOCK.MONOTONIC),
    boottime: clockNow(CLOCK.BOOTTIME),
  };
}

/** Whether a clock tells the time of day. It is the same one in all time namespaces. */
export function isWallClock(clock: number): boolean {
  return WALL.has(clock);
}

/** What two clocks are apart, by the offsets of their time namespaces: how far `theirs` is ahead, in nanoseconds. */
export function clockLead(clock: number, theirs: ClockOffsets, own: ClockOffsets): bigint {
  switch (clock) {
    case CLOCK.MONOTONIC:
      return theirs.monotonic - own.monotonic;
    case CLOCK.BOOTTIME:
    case CLOCK.BOOTTIME_ALARM:
      return theirs.boottime - own.boottime;
    default:
      return 0n;
  }
}
