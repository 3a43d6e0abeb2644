/**
 * The clocks of clock_gettime(2).
 *
 * @module
 */

/** Clocks by number (`include/uapi/linux/time.h`). */
export const CLOCK = {
  REALTIME: 0,
  MONOTONIC: 1,
  BOOTTIME: 7,
  REALTIME_ALARM: 8,
  BOOTTIME_ALARM: 9,
  TAI: 11,
} as const;
