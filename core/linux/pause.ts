/**
 * Sleeping, for a tracer that has nothing to do but to look again.
 *
 * @module
 */
const nothing = new Int32Array(new SharedArrayBuffer(4));

/** Holds up this thread. @param ms milliseconds */
export function pause(ms: number): void {
  Atomics.wait(nothing, 0, 0, ms);
}
