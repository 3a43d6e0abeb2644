/**
 * Times. Images have them as two unsigned numbers, seconds and a fraction; Stasis as one number of nanoseconds.
 *
 * @module
 */

const SECOND = 1_000_000_000n;

/** Nanoseconds as seconds and the rest in nanoseconds (`vsec`, `vnsec` of POSIX timers and timerfds). */
export function splitNanoseconds(time: bigint): { sec: bigint; nsec: bigint } {
  return { sec: time / SECOND, nsec: time % SECOND };
}

/** The inverse of {@link splitNanoseconds}. */
export function joinNanoseconds(sec: bigint, nsec: bigint): bigint {
  return sec * SECOND + nsec;
}

/** Nanoseconds as seconds and the rest in microseconds, rounded down (interval timers, times of files). */
export function splitMicroseconds(time: bigint): { sec: bigint; usec: bigint } {
  return { sec: time / SECOND, usec: (time % SECOND) / 1000n };
}

/** The inverse of {@link splitMicroseconds}. */
export function joinMicroseconds(sec: bigint, usec: bigint): bigint {
  return sec * SECOND + usec * 1000n;
}
