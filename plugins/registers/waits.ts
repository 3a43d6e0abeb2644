/**
 * Interrupted calls whose timeout counts from their beginning: nanosleep(2), clock_nanosleep(2), poll(2) and
 * futex(2) (FUTEX_WAIT). What is left of them is in the kernel's restart block alone; of a sleep also where its `rem`
 * points to. It is found out at the checkpoint ({@link timeLeft}) and kept in `waits.img`, and at restore the call is
 * begun anew with what was left ({@link waitCall}) and interrupted at once, so that the kernel has such a restart block
 * again. The program's own registers and memory stay as they were: who makes the call in a loop goes on with
 * the timeout that it meant. (select(2), pselect6(2) and ppoll(2) write what is left to where the timeout stands, and
 * are just made again.)
 *
 * @module
 */
import { Errno } from "../../core/linux/errno.ts";
import type { Registers } from "../../core/linux/x86_64/registers.ts";
import { type SyscallName, SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

/** The registers of a call's arguments, in order. */
const ARGUMENTS = ["di", "si", "dx", "r10", "r8", "r9"] as const;

const SECOND = 1_000_000_000n;
const MILLISECOND = 1_000_000n;
/** The longest timeout of poll(2). */
const MAX_MILLISECONDS = 0x7fffffffn;

/** TF of RFLAGS. */
const TRAP_FLAG = 0x100n;

/** FUTEX_WAIT, without FUTEX_PRIVATE_FLAG (`include/uapi/linux/futex.h`). */
const FUTEX_WAIT = 0n, FUTEX_PRIVATE = 128n;
/** TIMER_ABSTIME of clock_nanosleep(2). */
const ABSTIME = 1n;

/** A wait as it was called. */
export interface Wait {
  readonly call: number;
  readonly args: readonly bigint[];
  /** Where the timeout stands, a timespec; undefined where it is a number of milliseconds. */
  readonly timeout?: bigint;
  /** Where the kernel has written what is left. */
  readonly remaining?: bigint;
}

/**
 * The wait with a relative timeout that a thread was interrupted in; undefined if it was in none.
 *
 * @param call the call that it is, if that is known otherwise (restart_syscall)
 */
export function interruptedWait(registers: Registers, call?: bigint): Wait | undefined {
  if (BigInt.asIntN(64, registers.get("orig_ax")) < 0n) return undefined;
  if (-BigInt.asIntN(64, registers.get("ax")) !== BigInt(Errno.ERESTART_RESTARTBLOCK)) {
    return undefined;
  }
  const args = ARGUMENTS.map((name) => registers.get(name));
  return relativeWait(Number(call ?? registers.get("orig_ax")), args);
}

/** A call with these arguments, if it is a wait with a relative timeout. */
export function relativeWait(call: number, args: readonly bigint[]): Wait | undefined {
  const [a, b, c, d] = args as [bigint, bigint, bigint, bigint];
  const is = (name: SyscallName): boolean => call === SYSCALLS[name];
  const at = (timeout: bigint, remaining = 0n): Wait => ({
    call,
    args,
    timeout,
    remaining: remaining === 0n ? undefined : remaining,
  });
  if (is("nanosleep")) return at(a, b);
  if (is("clock_nanosleep")) return (b & ABSTIME) !== 0n ? undefined : at(c, d);
  if (is("futex")) {
    return (b & ~FUTEX_PRIVATE & 0xffffffffn) === FUTEX_WAIT && d !== 0n ? at(d) : undefined;
  }
  if (is("poll")) return BigInt.asIntN(32, c) > 0n ? { call, args } : undefined;
  return undefined;
}

/** Nanoseconds of a timespec, which are seconds and nanoseconds; undefined of one that is none. */
export function fromTimespec(bytes: Uint8Array): bigint | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const seconds = view.getBigInt64(0, true), nanoseconds = view.getBigInt64(8, true);
  return seconds < 0n || nanoseconds < 0n || nanoseconds >= SECOND
    ? undefined
    : seconds * SECOND + nanoseconds;
}

/** A timespec of nanoseconds. */
export function toTimespec(time: bigint): Uint8Array {
  return new Uint8Array(new BigInt64Array([time / SECOND, time % SECOND]).buffer);
}

/** The whole timeout of a call, in nanoseconds. @param read reads a timespec */
export function wholeTimeout(
  { args, timeout }: Wait,
  read: (address: bigint) => bigint | undefined,
): bigint | undefined {
  return timeout === undefined ? BigInt.asIntN(32, args[2] as bigint) * MILLISECOND : read(timeout);
}

/**
 * Registers that make a wait anew with another timeout.
 *
 * @param at where a timespec of it stands
 */
export function waitCall(image: Registers, wait: Wait, left: bigint, at: bigint): Registers {
  const registers = withArguments(image, wait).set("ax", BigInt(wait.call)).set("orig_ax", -1n)
    // With it the thread would stop at the first instruction.
    .set("flags", image.get("flags") & ~TRAP_FLAG);
  if (wait.call === SYSCALLS.nanosleep) return registers.set("di", at);
  if (wait.call === SYSCALLS.clock_nanosleep) return registers.set("dx", at);
  if (wait.call === SYSCALLS.futex) return registers.set("r10", at);
  const milliseconds = (left + MILLISECOND - 1n) / MILLISECOND;
  return registers.set("dx", milliseconds < MAX_MILLISECONDS ? milliseconds : MAX_MILLISECONDS);
}

/** Results by which a wait that was made anew has come to its end: whatever it waited for is there already. */
const ENDS: readonly bigint[] = [Errno.EAGAIN, Errno.ETIMEDOUT].map((errno) => -BigInt(errno));

/**
 * Registers with which a thread goes on after its wait was made anew: waiting, or with the result.
 *
 * @param live the registers that make the call again, with its whole timeout
 * @param result what it returned
 */
export function afterWait(live: Registers, wait: Wait, result: bigint): Registers {
  const registers = withArguments(live, wait);
  if (result === -BigInt(Errno.ERESTART_RESTARTBLOCK)) {
    return registers.set("orig_ax", BigInt(wait.call)).set("ax", result);
  }
  if (result >= 0n || ENDS.includes(result)) return registers.set("orig_ax", -1n).set("ax", result);
  return registers;
}

function withArguments(from: Registers, { args }: Wait): Registers {
  const registers = from.copy();
  ARGUMENTS.forEach((name, index) => registers.set(name, args[index] as bigint));
  return registers;
}
