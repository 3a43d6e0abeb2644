/**
 * Interrupting this thread where it would wait for ever.
 *
 * Some calls of a tracer can wait for something that only the tracer itself can bring about:
 *
 * - PTRACE_SEIZE waits while a thread of the same process is in execve(2) (`cred_guard_mutex`), which in turn
 *   waits until the other threads, which it has killed, are reaped: by their tracer, if they are traced
 *   already (`de_thread()` of `fs/exec.c`). The kernel begins it again after every signal.
 * - wait4(2) or waitid(2) for the first thread of a process that was killed tells nothing until all other threads have been
 *   reaped (`delay_group_leader()` of `kernel/exit.c`).
 *
 * So a timer sends a signal to this thread now and then, whose handler makes these calls return EINTR
 * (`x86_64/interrupt_code.ts`): whoever made them looks around, reaps what there is, and makes them again.
 * Other calls are begun again by the kernel (SA_RESTART), or, where it never does that (poll(2) and its like),
 * by Deno and V8, which are used to signals.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { remoteAddress } from "./address.ts";
import { errnoName, isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import { ProcessMemory } from "./memory.ts";
import { kernelSigaction, SIGSET_SIZE } from "./sigaction.ts";
import { signalBit } from "./signals.ts";
import { defineStruct } from "./struct.ts";
import { GIVE_UP_CODE, RESTORER_AT } from "./x86_64/interrupt_code.ts";
import { mapOwnCode } from "./x86_64/own_code.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** After how long a call that waits is interrupted, and how often, in milliseconds. */
export const INTERRUPTION_PERIOD = 10;

/** Real-time signals, of which libc, V8 and Deno use none; the first that has no other handler is taken. */
const CANDIDATES: readonly number[] = [58, 57, 56, 55, 54, 53, 52, 51, 50];

const SA_SIGINFO = 0x4n, SA_RESTORER = 0x04000000n, SA_RESTART = 0x10000000n;
const SIG_DFL = 0n;
const SIG_UNBLOCK = 1;
const CLOCK_MONOTONIC = 1;
const SIGEV_THREAD_ID = 4;

/** `struct sigevent` (`include/uapi/asm-generic/siginfo.h`). */
const sigevent = defineStruct("sigevent", 64, {
  signo: [8, "i32"],
  notify: [12, "i32"],
  tid: [16, "i32"],
});

/** `struct itimerspec`: both times as seconds and nanoseconds. */
const itimerspec = defineStruct("itimerspec", 32, {
  interval: [8, "i64"],
  value: [24, "i64"],
});

/** The signal whose handler is installed. It stays for as long as this process lives: one may be under way. */
let installed: number | undefined;
let users = 0;
let timer = 0;

/**
 * For as long as one of these exists, PTRACE_SEIZE and waiting for a tracee (see `x86_64/interrupt_code.ts`) return
 * EINTR in this thread where they take longer than {@link INTERRUPTION_PERIOD}. Several may exist at a time.
 *
 * @throws {StasisError} `syscall` from its constructor, if no timer can be had
 */
export class Interruptions implements Disposable {
  #ended = false;

  constructor() {
    if (users === 0) timer = startTimer();
    users++;
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    users--;
    if (users === 0) syscall(SYSCALLS.timer_delete, timer);
  }
}

function startTimer(): number {
  installed ??= install();
  const set = new Uint8Array(BigUint64Array.of(signalBit(installed)).buffer);
  must(syscall(SYSCALLS.rt_sigprocmask, SIG_UNBLOCK, set, 0, SIGSET_SIZE), "rt_sigprocmask");
  const event = sigevent.make({
    signo: installed,
    notify: SIGEV_THREAD_ID,
    tid: Number(syscall(SYSCALLS.gettid)),
  });
  const id = new Int32Array(1);
  const out = new Uint8Array(id.buffer);
  must(syscall(SYSCALLS.timer_create, CLOCK_MONOTONIC, event, out), "timer_create");
  const nanoseconds = BigInt(INTERRUPTION_PERIOD) * 1_000_000n;
  const period = itimerspec.make({ interval: nanoseconds, value: nanoseconds });
  must(syscall(SYSCALLS.timer_settime, id[0] as number, 0, period, 0), "timer_settime");
  return id[0] as number;
}

/** What rt_sigaction(2) takes to have calls given up by a signal. @param code where {@link GIVE_UP_CODE} lies */
export function giveUpAction(code: bigint): Uint8Array {
  return kernelSigaction.make({
    handler: code,
    flags: SA_SIGINFO | SA_RESTORER | SA_RESTART,
    restorer: code + BigInt(RESTORER_AT),
  });
}

function install(): number {
  for (const signal of CANDIDATES) {
    const { handler } = actionOf(signal);
    // Another isolate of this process may have been here first.
    if (handler !== SIG_DFL && isOurs(handler)) return signal;
    if (handler !== SIG_DFL) continue;
    const address = mapOwnCode("give-up", GIVE_UP_CODE);
    must(
      syscall(SYSCALLS.rt_sigaction, signal, giveUpAction(address), 0, SIGSET_SIZE),
      "rt_sigaction",
    );
    return signal;
  }
  throw new StasisError("internal", "every signal that could interrupt a call has a handler");
}

function actionOf(signal: number) {
  const action = new Uint8Array(kernelSigaction.size);
  must(syscall(SYSCALLS.rt_sigaction, signal, 0, action, SIGSET_SIZE), "rt_sigaction");
  return kernelSigaction.read(action);
}

function isOurs(handler: bigint): boolean {
  using memory = new ProcessMemory(Deno.pid);
  try {
    const code = memory.read(remoteAddress(handler), GIVE_UP_CODE.length);
    return code.every((byte, index) => byte === GIVE_UP_CODE[index]);
  } catch (error) {
    // SIG_IGN, for example, is no address.
    if (error instanceof StasisError) return false;
    throw error;
  }
}

function must(result: bigint, what: string): void {
  if (!isErrno(result)) return;
  const errno = errnoName(-result);
  throw new StasisError("syscall", `calls that wait cannot be interrupted: ${what}: ${errno}`, {
    errno,
  });
}
