/**
 * ptrace(2) by request, from `include/uapi/linux/ptrace.h`. Every function here works on one thread that
 * this process traces, and throws a StasisError that names the request and the thread.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { addressOf, ptrace, ptraceBoth, ptraceData, wait4 } from "./libc_ffi.ts";
import { Errno, errnoName, isErrno } from "./errno.ts";
import { defineStruct } from "./struct.ts";
import { Registers } from "./x86_64/registers.ts";
import { Siginfo } from "./siginfo.ts";

/** Requests of ptrace(2). */
export const PTRACE = {
  CONT: 7n,
  GETREGS: 12n,
  SETREGS: 13n,
  DETACH: 17n,
  SYSCALL: 24n,
  SETOPTIONS: 0x4200n,
  GETEVENTMSG: 0x4201n,
  GETSIGINFO: 0x4202n,
  GETREGSET: 0x4204n,
  SETREGSET: 0x4205n,
  SEIZE: 0x4206n,
  INTERRUPT: 0x4207n,
  PEEKSIGINFO: 0x4209n,
  GETSIGMASK: 0x420an,
  SETSIGMASK: 0x420bn,
  SECCOMP_GET_FILTER: 0x420cn,
  SECCOMP_GET_METADATA: 0x420dn,
  GET_SYSCALL_INFO: 0x420en,
  GET_RSEQ_CONFIGURATION: 0x420fn,
  SET_SYSCALL_USER_DISPATCH_CONFIG: 0x4210n,
  GET_SYSCALL_USER_DISPATCH_CONFIG: 0x4211n,
} as const;

/** Options of PTRACE_SEIZE and PTRACE_SETOPTIONS. */
export const PTRACE_O = {
  /** Syscall stops are told from a real SIGTRAP by bit 7 of the signal. */
  TRACESYSGOOD: 1n << 0n,
  /** A thread that makes a process by vfork(2) or posix_spawn(3) stops, and that process is traced as well. */
  TRACEVFORK: 1n << 2n,
  /** A thread that has executed a program stops, under the id that it has then: its process's. */
  TRACEEXEC: 1n << 4n,
  /** A thread that is about to end stops. */
  TRACEEXIT: 1n << 6n,
  /** The tracee dies with its tracer. */
  EXITKILL: 1n << 20n,
  /** Seccomp of this thread is suspended while it is traced. */
  SUSPEND_SECCOMP: 1n << 21n,
  /** SUD of this thread is suspended while it is traced (kernel/patches, not in mainline). */
  SUSPEND_SYSCALL_USER_DISPATCH: 1n << 22n,
} as const;

/** The event number of a group-stop, of an interrupt, and of a new tracee's first stop. */
const PTRACE_EVENT_STOP = 128;

/** The event number of the stop of a thread that has made a process (PTRACE_O_TRACEVFORK). */
export const PTRACE_EVENT_VFORK = 2;

/** The event number of the stop of a thread that has executed a program (PTRACE_O_TRACEEXEC). */
export const PTRACE_EVENT_EXEC = 4;

/** The event number of the stop of a thread that is about to end (PTRACE_O_TRACEEXIT). */
export const PTRACE_EVENT_EXIT = 6;

/** Register sets of PTRACE_GETREGSET, by their ELF note type (`include/uapi/linux/elf.h`). */
export const NT = { IOPERM: 0x201n, X86_XSTATE: 0x202n } as const;

/** `__WALL` of wait4(2): threads too. */
export const WALL = 0x40000000;
/** `WNOHANG` of wait4(2). */
export const WNOHANG = 1;
/** The lower byte of a status word of wait4(2) that tells of a stop; what is told of it stands above. */
export const STOPPED = 0x7f;

const iovec = new BigUint64Array(2);

/**
 * Makes a request. One that failed has done nothing, and is made once more before it is given up: many of them put a
 * target back, and what passes must not be its end.
 */
function attempt(make: () => bigint): bigint {
  const result = make();
  return isErrno(result) && result !== -BigInt(Errno.ESRCH) ? make() : result;
}

/** Makes a request that must succeed. */
function must(make: () => bigint, request: string, tid: number): bigint {
  const result = attempt(make);
  if (!isErrno(result)) return result;
  const errno = errnoName(-result);
  const gone = -result === BigInt(Errno.ESRCH);
  throw new StasisError(
    gone ? "no-such-task" : "syscall",
    gone
      ? `thread ${tid} ended while it was being traced (${request}: ${errno})`
      : `ptrace(${request}) of thread ${tid} failed: ${errno}`,
    { pid: tid, errno },
  );
}

/**
 * Attaches without stopping (PTRACE_SEIZE).
 *
 * @param options bits of {@link PTRACE_O}
 * @returns 0, or the negative errno: what it means depends on who asks; EINTR where a thread of the process is
 * in execve(2) and there are `Interruptions` (`interruptions.ts`), without which this may wait for ever
 */
export function seize(tid: number, options: bigint): bigint {
  return ptrace(PTRACE.SEIZE, BigInt(tid), 0n, options);
}

/** Replaces the options of a tracee (PTRACE_SETOPTIONS). @returns 0, or the negative errno */
export function setOptions(tid: number, options: bigint): bigint {
  return ptrace(PTRACE.SETOPTIONS, BigInt(tid), 0n, options);
}

/** Asks a seized thread to stop (PTRACE_INTERRUPT); one that is gone needs not. */
export function interrupt(tid: number): void {
  const result = attempt(() => ptrace(PTRACE.INTERRUPT, BigInt(tid), 0n, 0n));
  if (result !== -BigInt(Errno.ESRCH)) must(() => result, "PTRACE_INTERRUPT", tid);
}

/** Whether a tracee with this id stands still. One that is asked while it is stopping may tell either. */
export function standsStill(tid: number): boolean {
  const message = new BigUint64Array(1);
  return !isErrno(ptraceData(PTRACE.GETEVENTMSG, BigInt(tid), 0n, message));
}

/** What the event that a thread stands at has to tell: of one that has made a process, its pid. */
export function eventMessage(tid: number): bigint {
  const message = new BigUint64Array(1);
  must(
    () => ptraceData(PTRACE.GETEVENTMSG, BigInt(tid), 0n, message),
    "PTRACE_GETEVENTMSG",
    tid,
  );
  return message[0]!;
}

/** Lets a stopped thread run on, delivering `signal` if it is not 0. */
export function resume(tid: number, signal = 0): void {
  must(() => ptrace(PTRACE.CONT, BigInt(tid), 0n, BigInt(signal)), "PTRACE_CONT", tid);
}

/** Lets a stopped thread run to its next system call's entry or exit, delivering `signal` if it is not 0. */
export function resumeToSyscall(tid: number, signal = 0): void {
  must(() => ptrace(PTRACE.SYSCALL, BigInt(tid), 0n, BigInt(signal)), "PTRACE_SYSCALL", tid);
}

/** Ends the tracing and lets the thread run on. @returns 0, or the negative errno */
export function detach(tid: number, signal = 0): bigint {
  return attempt(() => ptrace(PTRACE.DETACH, BigInt(tid), 0n, BigInt(signal)));
}

/** The general registers. */
export function getRegisters(tid: number): Registers {
  const registers = new Registers();
  must(() => ptraceData(PTRACE.GETREGS, BigInt(tid), 0n, registers.words), "PTRACE_GETREGS", tid);
  return registers;
}

/** Sets the general registers. */
export function setRegisters(tid: number, registers: Registers): void {
  must(() => ptraceData(PTRACE.SETREGS, BigInt(tid), 0n, registers.words), "PTRACE_SETREGS", tid);
}

/** A register set, at most `limit` bytes (PTRACE_GETREGSET). */
export function getRegisterSet(tid: number, kind: bigint, limit: number): Uint8Array {
  if (registerSet.byteLength < limit) registerSet = new Uint8Array(limit);
  iovec[0] = addressOf(registerSet);
  iovec[1] = BigInt(limit);
  must(() => ptraceData(PTRACE.GETREGSET, BigInt(tid), kind, iovec), "PTRACE_GETREGSET", tid);
  return registerSet.slice(0, Number(iovec[1]));
}

/** Kept: a thousand threads would take a thousand times the limit. */
let registerSet = new Uint8Array(0);

const oneWord = new BigUint64Array(1);

/** Whether a thread has a register set at all, which most have not: {@link NT.IOPERM}. */
export function hasRegisterSet(tid: number, kind: bigint): boolean {
  iovec[0] = addressOf(oneWord);
  iovec[1] = BigInt(oneWord.byteLength);
  const result = ptraceData(PTRACE.GETREGSET, BigInt(tid), kind, iovec);
  // ENXIO (some kernels: ENODEV): it has none. EINVAL: the kernel knows none.
  const none = [Errno.ENXIO, Errno.ENODEV, Errno.EINVAL].some((errno) => result === -BigInt(errno));
  if (none) return false;
  must(() => result, "PTRACE_GETREGSET", tid);
  return true;
}

/** Sets a register set (PTRACE_SETREGSET). */
export function setRegisterSet(tid: number, kind: bigint, bytes: Uint8Array): void {
  iovec[0] = addressOf(bytes);
  iovec[1] = BigInt(bytes.byteLength);
  must(() => ptraceData(PTRACE.SETREGSET, BigInt(tid), kind, iovec), "PTRACE_SETREGSET", tid);
}

const maskWord = new BigUint64Array(1);

/** The blocked signals of a thread, bit N-1 for signal N; the saved mask where a call holds a temporary one. */
export function getSignalMask(tid: number): bigint {
  must(() => ptraceData(PTRACE.GETSIGMASK, BigInt(tid), 8n, maskWord), "PTRACE_GETSIGMASK", tid);
  return maskWord[0] as bigint;
}

/** Sets the blocked signals of a thread. */
export function setSignalMask(tid: number, mask: bigint): void {
  maskWord[0] = BigInt.asUintN(64, mask);
  must(() => ptraceData(PTRACE.SETSIGMASK, BigInt(tid), 8n, maskWord), "PTRACE_SETSIGMASK", tid);
}

/** The siginfo of the signal-delivery-stop that the thread is in. */
export function getStopSiginfo(tid: number): Siginfo {
  const bytes = new Uint8Array(Siginfo.SIZE);
  must(() => ptraceData(PTRACE.GETSIGINFO, BigInt(tid), 0n, bytes), "PTRACE_GETSIGINFO", tid);
  return new Siginfo(bytes);
}

const peekArguments = defineStruct("ptrace_peeksiginfo_args", 16, {
  off: [0, "u64"],
  flags: [8, "u32"],
  nr: [12, "i32"],
});
const PEEK_BATCH = 32;
const peekBuffer = new Uint8Array(PEEK_BATCH * Siginfo.SIZE);

/** What PTRACE_PEEKSIGINFO is asked for: `count` signals from the `first` on, of the process or of the thread alone. */
export function peekRequest(first: number, shared: boolean, count: number): Uint8Array {
  return peekArguments.make({ off: BigInt(first), flags: shared ? 1 : 0, nr: count });
}

/**
 * The signals that wait for a thread (`shared` false) or for its whole process (`shared` true), oldest
 * first, left in their queue.
 */
export function peekSiginfo(tid: number, shared: boolean): Siginfo[] {
  const found: Siginfo[] = [];
  for (;;) {
    const request = peekRequest(found.length, shared, PEEK_BATCH);
    const count = Number(must(
      () => ptraceBoth(PTRACE.PEEKSIGINFO, BigInt(tid), request, peekBuffer),
      "PTRACE_PEEKSIGINFO",
      tid,
    ));
    for (let index = 0; index < count; index++) {
      const start = index * Siginfo.SIZE;
      found.push(new Siginfo(peekBuffer.slice(start, start + Siginfo.SIZE)));
    }
    // Only nothing is the end: a signal to this process ends a batch early (ptrace_peek_siginfo(), kernel/ptrace.c).
    if (count === 0) return found;
  }
}

/** `struct ptrace_rseq_configuration`. */
export const rseqConfiguration = defineStruct("ptrace_rseq_configuration", 24, {
  pointer: [0, "u64"],
  size: [8, "u32"],
  signature: [12, "u32"],
  flags: [16, "u32"],
});

/** A thread's rseq(2) registration; `pointer` 0 if it has none. */
export type RseqRegistration = ReturnType<typeof rseqConfiguration.read>;

/** A thread's rseq(2) registration (PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13). */
export function getRseq(tid: number): RseqRegistration {
  const bytes = new Uint8Array(rseqConfiguration.size);
  must(
    () => ptraceData(PTRACE.GET_RSEQ_CONFIGURATION, BigInt(tid), BigInt(bytes.length), bytes),
    "PTRACE_GET_RSEQ_CONFIGURATION",
    tid,
  );
  return rseqConfiguration.read(bytes);
}

/** What wait4(2) told of a tracee. */
export type Stop =
  /** It is about to receive `signal`, unless the tracer drops it. */
  | { readonly kind: "signal"; readonly signal: number }
  /** It entered or left a system call. */
  | { readonly kind: "syscall" }
  /** It was interrupted, is new, or is in the group-stop that `signal` began. */
  | { readonly kind: "event-stop"; readonly signal: number }
  /** Another PTRACE_EVENT_*. */
  | { readonly kind: "event"; readonly event: number }
  /** It is gone: its exit code, or the signal that killed it. */
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "killed"; readonly signal: number }
  /** There is no such tracee (any more). */
  | { readonly kind: "absent" }
  /** Nothing to tell (only with `block` false). */
  | { readonly kind: "none" };

/** Decodes a status word of wait4(2). */
export function decodeStatus(status: number): Stop {
  if ((status & 0x7f) === 0) return { kind: "exited", code: (status >> 8) & 0xff };
  if ((status & 0xff) !== STOPPED) return { kind: "killed", signal: status & 0x7f };
  const signal = (status >> 8) & 0xff;
  const event = (status >> 16) & 0xff;
  if (event === PTRACE_EVENT_STOP) return { kind: "event-stop", signal };
  if (event !== 0) return { kind: "event", event };
  if (signal === (5 | 0x80)) return { kind: "syscall" };
  return { kind: "signal", signal };
}

/** si_code of a SIGCHLD that tells of a tracee's stop; si_status is then the upper half of what wait4(2) tells. */
const CLD_TRAPPED = 4;

/**
 * The stop of a tracee that is about to take a signal; undefined if it tells of something else.
 *
 * @param code si_code, as waitid(2) tells it
 * @param status si_status
 */
export function signalStop(code: number, status: number): Stop | undefined {
  if (code !== CLD_TRAPPED) return undefined;
  const stop = decodeStatus(status << 8 | STOPPED);
  return stop.kind === "signal" ? stop : undefined;
}

/**
 * Waits for one tracee (wait4 with `__WALL`).
 *
 * @param block false: return "none" where nothing happened
 */
export function waitForStop(tid: number, block = true): Stop {
  for (;;) {
    const { pid, status } = wait4(tid, block ? WALL : WALL | WNOHANG);
    // One of the `Interruptions` (`interruptions.ts`).
    if (pid === -Errno.EINTR) continue;
    if (pid < 0) return { kind: "absent" };
    if (pid === 0) return { kind: "none" };
    return decodeStatus(status);
  }
}
