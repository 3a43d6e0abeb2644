/**
 * How many of Deno's threads for calls that block are taken by calls of ours that may not come back for long. There are
 * 32 (`runtime/tokio_util.rs`); what comes behind them waits.
 *
 * @module
 */

/** With so many taken, nothing that must not wait is to be left to such a thread. */
const MANY = 16;

let taken = 0;

/** Counts a call until it comes back. @returns its result */
export async function takeThread<T>(call: Promise<T>): Promise<T> {
  taken++;
  try {
    return await call;
  } finally {
    taken--;
  }
}

/** Whether another call may have to wait for a thread. */
export function areThreadsScarce(): boolean {
  return taken >= MANY;
}
