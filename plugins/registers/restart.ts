/**
 * Interrupted system calls. A thread that is stopped inside a blocking call has a restart code in its
 * result register, which only the kernel may see: it acts on it when the thread runs on
 * (`arch_do_signal_or_restart()` and `handle_signal()` of `arch/x86/kernel/signal.c`).
 *
 * A target that runs on keeps the code, and with it the kernel's own way. In images, as in CRIU's, the
 * restart has been done already: the instruction pointer is back at the `syscall` instruction and the
 * result register holds the call's number, so that it is made again. At restore the code is put back
 * ({@link liveRegisters}), since a signal that waits for the thread must be able to end the call with EINTR.
 *
 * ERESTART_RESTARTBLOCK is different: what is left of the call is in the kernel's restart block, which
 * does not survive. Such calls are made again, too: an absolute timeout stays right, and of a relative one
 * `waits.ts` knows what is left. What does not know of that (CRIU) makes nanosleep(2) and relative clock_nanosleep(2)
 * with a `rem` pointer again with what the kernel has written there, and lets the others (poll(2), a sleep without
 * `rem`, futex(2)) begin anew: longer than they were asked to wait, which all of them may; EINTR without a handler is
 * what programs do not expect.
 *
 * A call that has been restarted once already is `restart_syscall(2)` by now; its arguments are still in the registers,
 * and which call it was shows in where the kernel has it wait ({@link originalCall}). Where that does not tell, it ends
 * with EINTR.
 *
 * @module
 */
import { Errno } from "../../core/linux/errno.ts";
import { type Registers, SYSCALL_INSTRUCTION } from "../../core/linux/x86_64/registers.ts";
import { type SyscallName, SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

const INSTRUCTION_SIZE = BigInt(SYSCALL_INSTRUCTION.length);

const number = (name: SyscallName): bigint => BigInt(SYSCALLS[name]);

/** Whether the thread was interrupted in a call that had been restarted before. */
export function isRestarted(registers: Registers): boolean {
  return registers.get("orig_ax") === number("restart_syscall") &&
    -BigInt.asIntN(64, registers.get("ax")) === BigInt(Errno.ERESTART_RESTARTBLOCK);
}

/**
 * Registers of a thread that waited for semaphores without a timeout. semop(2) ends with EINTR wherever a thread is
 * stopped (`__do_semtimedop()` of ipc/sem.c), also where no handler runs: such a call is made again instead, unless one
 * does.
 *
 * @returns undefined where it was no such call
 */
export function waitingAgain(registers: Registers): Registers | undefined {
  if (BigInt.asIntN(64, registers.get("ax")) !== -BigInt(Errno.EINTR)) return undefined;
  const call = registers.get("orig_ax");
  const isForever = call === number("semop") ||
    call === number("semtimedop") && registers.get("r10") === 0n;
  return isForever ? registers.copy().set("ax", BigInt(-Errno.ERESTARTNOHAND)) : undefined;
}

/**
 * Which call a restarted one was. Only four set a restart block (`set_restart_fn()` in the kernel), and
 * each waits in functions of its own.
 *
 * @param place the kernel function that it waits in
 * @returns its number; undefined if that cannot be told
 */
export function originalCall(place: string, registers: Registers): bigint | undefined {
  if (place.includes("futex")) return number("futex");
  if (place.includes("poll")) return number("poll");
  // clock_nanosleep has a clock's number where nanosleep has an address.
  const MAX_CLOCKS = 16n;
  // A restarted sleep waits in scheduler functions alone, and those are skipped: what called them shows.
  if (/nanosleep|restart_syscall|do_syscall_64/.test(place)) {
    return number(registers.get("di") < MAX_CLOCKS ? "clock_nanosleep" : "nanosleep");
  }
  return undefined;
}

/**
 * The registers as they stand in an image: interrupted calls are ready to be made again.
 *
 * @param original the call that a restarted one was, if that is known
 */
export function imageRegisters(registers: Registers, original?: bigint): Registers {
  const image = registers.copy();
  if (isRestarted(registers) && original !== undefined) image.set("orig_ax", original);
  const nr = BigInt.asIntN(64, image.get("orig_ax"));
  const again = (): Registers =>
    image.set("ax", nr).set("ip", registers.get("ip") - INSTRUCTION_SIZE);
  if (nr >= 0n) {
    switch (-BigInt.asIntN(64, registers.get("ax"))) {
      case BigInt(Errno.ERESTARTSYS):
      case BigInt(Errno.ERESTARTNOINTR):
      case BigInt(Errno.ERESTARTNOHAND):
        return again();
      case BigInt(Errno.ERESTART_RESTARTBLOCK):
        if (nr === number("nanosleep") && registers.get("si") !== 0n) {
          return again().set("di", registers.get("si"));
        }
        if (nr === number("clock_nanosleep") && registers.get("r10") !== 0n) {
          return again().set("dx", registers.get("r10"));
        }
        if (nr !== number("restart_syscall")) return again();
        image.set("ax", BigInt(-Errno.EINTR));
    }
  }
  // In our images this says that no call is to be made again, whatever the result register holds.
  return image.set("orig_ax", -1n);
}

/** Calls that a handler's run ends with EINTR, SA_RESTART or not (ERESTARTNOHAND). */
const NO_HANDLER: ReadonlySet<bigint> = new Set(
  ([
    "pause",
    "rt_sigsuspend",
    "select",
    "pselect6",
    "poll",
    "ppoll",
    "nanosleep",
    "clock_nanosleep",
    "msgsnd",
    "msgrcv",
    "semop",
    "semtimedop",
  ] as const).map(number),
);
/** Calls that are always made again (ERESTARTNOINTR). */
const ALWAYS: ReadonlySet<bigint> = new Set(
  (["clone", "fork", "vfork", "clone3"] as const).map(number),
);

/**
 * The inverse of {@link imageRegisters}: where a call is to be made again, its restart code.
 *
 * @param image registers from an image
 * @param code the two bytes at their instruction pointer, if there are any
 */
export function liveRegisters(image: Registers, code: Uint8Array | undefined): Registers {
  const registers = image.copy();
  const nr = BigInt.asIntN(64, image.get("orig_ax"));
  // CRIU keeps the number of the last call even if it is over: only at a syscall instruction it is not.
  const again = nr >= 0n && image.get("ax") === BigInt.asUintN(64, nr) &&
    code?.[0] === SYSCALL_INSTRUCTION[0] && code?.[1] === SYSCALL_INSTRUCTION[1];
  if (!again) return registers.set("orig_ax", -1n);
  const restart = NO_HANDLER.has(nr)
    ? Errno.ERESTARTNOHAND
    : ALWAYS.has(nr)
    ? Errno.ERESTARTNOINTR
    : Errno.ERESTARTSYS;
  return registers.set("ax", BigInt(-restart)).set("ip", image.get("ip") + INSTRUCTION_SIZE);
}
