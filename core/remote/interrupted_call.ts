/**
 * Telling whether a stopped thread is in a system call. Pure.
 *
 * @module
 */
import { Errno } from "../linux/errno.ts";
import type { Registers } from "../linux/x86_64/registers.ts";

/** Results by which the kernel says that a call was interrupted, and is made again if it lets it (`linux/errno.h`). */
const RESTARTS: readonly number[] = [
  Errno.ERESTARTSYS,
  Errno.ERESTARTNOINTR,
  Errno.ERESTARTNOHAND,
  Errno.ERESTART_RESTARTBLOCK,
];

/** Whether a thread was stopped in a call that it would make again. */
export function isInterrupted(registers: Registers): boolean {
  return BigInt.asIntN(64, registers.get("orig_ax")) >= 0n &&
    RESTARTS.includes(Number(-BigInt.asIntN(64, registers.get("ax"))));
}
