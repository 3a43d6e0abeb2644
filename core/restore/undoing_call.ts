/**
 * Calls that take away what a restore has made, where it fails or is killed. Pure.
 *
 * @module
 */
import type { SyscallName } from "../linux/x86_64/syscalls.ts";
import type { Argument, CallResult, SyscallProgram } from "../remote/program.ts";

/** A call to be made if the restore dies; it may fail. */
export interface UndoingCall {
  readonly name: SyscallName;
  readonly args: readonly (number | bigint | string)[];
  /** The directory that it removes, which is busy until the tasks that are bound to it are dead. */
  readonly busy?: string;
}

const AT_FDCWD = -100, F_OK = 0;
/** How long a busy directory is waited for before each further attempt, in milliseconds: killed tasks take a moment. */
const WAITS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000, 1000];

/** `struct timespec`. */
function timespec(ms: number): Uint8Array {
  const whole = BigInt(Math.trunc(ms / 1000));
  return new Uint8Array(BigInt64Array.of(whole, BigInt(ms % 1000) * 1_000_000n).buffer);
}

/**
 * Adds such a call to a program.
 *
 * @param where the earlier call, and what it must have returned at least, for this one to be made
 */
export function addUndoing(
  program: SyscallProgram,
  where: { readonly result: CallResult; readonly least: bigint },
  { name, args, busy }: Omit<UndoingCall, "args"> & { readonly args: readonly Argument[] },
): void {
  const { result, least } = where;
  program.tryWhere(result, least, name, ...args);
  if (busy === undefined) return;
  for (const ms of WAITS) {
    const left = program.tryWhere(result, least, "faccessat", AT_FDCWD, busy, F_OK);
    program.tryWhere(left, 0n, "nanosleep", program.data(timespec(ms), `${ms} ms`), 0);
    program.tryWhere(left, 0n, name, ...args);
  }
}
