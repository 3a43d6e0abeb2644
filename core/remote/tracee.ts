/**
 * One traced thread. It remembers how it was found, and {@link Tracee.release} lets it run on exactly as
 * it was: registers, signal mask, signals that were intercepted while calls ran in it.
 *
 * The last stop before a thread runs on must be one in the kernel's signal path (an interrupt's or a
 * signal's, not a system call's exit): only there does the kernel look at the restart codes in the
 * registers (`arch_do_signal_or_restart()`), and so carries on an interrupted system call by itself.
 * {@link Tracee.settle} makes sure of that.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { isErrno } from "../linux/errno.ts";
import {
  getRegisters,
  getSignalMask,
  getStopSiginfo,
  interrupt,
  peekSiginfo,
  resume,
  resumeToSyscall,
  setOptions,
  setRegisters,
  setSignalMask,
  type Stop,
} from "../linux/ptrace.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { ALL_SIGNALS, SIG, signalBit, signalName } from "../linux/signals.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { requeueSignals } from "./requeue_signals.ts";
import { detachThread } from "./detach.ts";
import { PROGRAM_END_MARK } from "./program.ts";
import { awaitStop } from "./reap.ts";

/** Signals to end a program with: ones that are ignored by default, in the order of preference. */
const END_SIGNALS: readonly number[] = [SIG.URG, SIG.WINCH, SIG.IO, 60, 61, 62, 63];

/** `si_code` of the SIGSYS of Syscall User Dispatch (`include/uapi/asm-generic/siginfo.h`). */
const SYS_USER_DISPATCH = 2;

/** A call that was made in a thread was turned into a SIGSYS by Syscall User Dispatch. */
export class DispatchedError extends StasisError {
  constructor(tid: number, purpose: string) {
    super(
      "unsupported",
      `${purpose} was turned into a SIGSYS: thread ${tid} has Syscall User Dispatch on`,
      { pid: tid },
    );
  }
}

/** A thread that this process traces and that stands still. */
export class Tracee {
  /** The thread, as this process sees it. */
  readonly tid: number;
  /** The thread group. */
  readonly pid: number;
  /** The general registers at the freeze. A plugin or the core may adjust them (an rseq abort, say). */
  registers: Registers;
  /** The signal mask at the freeze; a restore sets the one that the thread is to run with. */
  signalMask: bigint;
  /** The signals that waited for this thread alone at the freeze. */
  pending: readonly Siginfo[];
  /** The signal whose group-stop (job control) the thread was found in; 0 if it ran. */
  readonly groupStop: number;

  readonly #cancellation: Cancellation;
  #options: bigint;
  #endSignal: number | undefined;
  #settled = true;
  /** Whether a program was started in it whose end has not been awaited. */
  #running = false;
  /** Whether it has ended, or another thread has taken its id by execve(2). */
  #lost = false;
  #ended = false;
  #stolen: Siginfo[] = [];

  /**
   * Takes note of a thread that stands still (`stop_thread.ts` makes it do so).
   *
   * @param groupStop the signal whose group-stop it is in; 0 if none
   * @param options the ptrace options in force
   * @param cancellation ends the waiting for programs that run in it
   * @throws {StasisError} `no-such-task` if it was killed in this very moment
   */
  constructor(
    tid: number,
    pid: number,
    groupStop: number,
    options: bigint,
    cancellation: Cancellation,
  ) {
    this.tid = tid;
    this.pid = pid;
    this.groupStop = groupStop;
    this.#options = options;
    this.#cancellation = cancellation;
    this.registers = getRegisters(tid);
    this.signalMask = getSignalMask(tid);
    this.pending = peekSiginfo(tid, false);
  }

  /** Says that it has ended, or that another thread has taken its id by execve(2). */
  lose(): void {
    this.#lost = true;
  }

  /** Says that it was killed and its end awaited: there is nothing to let go of. */
  end(): void {
    this.#ended = true;
  }

  /**
   * Turns ptrace options on, in addition to those that are.
   *
   * @returns 0, or the negative errno; then nothing changed
   */
  addOptions(options: bigint): bigint {
    return this.#setOptions(this.#options | options);
  }

  /** Turns ptrace options off. @returns 0, or the negative errno */
  removeOptions(options: bigint): bigint {
    return this.#setOptions(this.#options & ~options);
  }

  #setOptions(options: bigint): bigint {
    const result = setOptions(this.tid, options);
    if (!isErrno(result)) this.#options = options;
    return result;
  }

  /** The ptrace options in force. */
  get options(): bigint {
    return this.#options;
  }

  /** The signal that ends programs in this thread: one that does not wait for it or its process already. */
  endSignal(sharedPending: readonly Siginfo[]): number {
    if (this.#endSignal === undefined) {
      const taken = new Set([...this.pending, ...sharedPending].map((info) => info.signal));
      const free = END_SIGNALS.find((signal) => !taken.has(signal));
      if (free === undefined) {
        throw new StasisError("unsupported", `thread ${this.tid} has too many signals pending`, {
          pid: this.tid,
          hint: "let it handle its signals, then try again",
        });
      }
      this.#endSignal = free;
      setSignalMask(this.tid, ALL_SIGNALS & ~signalBit(free));
    }
    return this.#endSignal;
  }

  /**
   * One system call at a `syscall` instruction of the target, by its entry and exit stops. Nothing is
   * forced upon the target by these stops, unlike by a single step (a forced SIGTRAP).
   *
   * @param instruction where the instruction lies
   * @returns the result, or the negative errno
   */
  call(
    instruction: bigint,
    sharedPending: readonly Siginfo[],
    name: SyscallName,
    ...args: (bigint | number)[]
  ): bigint {
    // A program that nobody awaited, since something else failed, does not make room for the call by itself.
    this.quiesce();
    this.endSignal(sharedPending);
    const registers = this.registers.copy();
    const words = args.map(BigInt);
    registers.set("ax", BigInt(SYSCALLS[name])).set("orig_ax", -1n).set("ip", instruction);
    (["di", "si", "dx", "r10", "r8", "r9"] as const).forEach((register, index) =>
      registers.set(register, words[index] ?? 0n)
    );
    setRegisters(this.tid, registers);
    this.#settled = false;
    for (const _ of ["entry", "exit"]) {
      resumeToSyscall(this.tid);
      this.#await("syscall", () => resumeToSyscall(this.tid), name);
    }
    return BigInt.asIntN(64, getRegisters(this.tid).get("ax"));
  }

  /**
   * Makes a harmless call (getpid) to see whether Syscall User Dispatch turns it into a SIGSYS. SIGSYS is
   * left unblocked for it: the kernel resets the handler of a forced signal that is blocked. The signal
   * itself is dropped. Not for a thread that ignores SIGSYS, which the kernel would reset as well, or for which
   * one waits already, which would be dropped in its place.
   */
  isDispatched(instruction: bigint, sharedPending: readonly Siginfo[]): boolean {
    const end = this.endSignal(sharedPending);
    setSignalMask(this.tid, ALL_SIGNALS & ~signalBit(end) & ~signalBit(SIG.SYS));
    try {
      this.call(instruction, sharedPending, "getpid");
      return false;
    } catch (error) {
      if (error instanceof DispatchedError) return true;
      throw error;
    } finally {
      setSignalMask(this.tid, ALL_SIGNALS & ~signalBit(end));
    }
  }

  /** Starts a program. @param registers where its code, entries and tail lie */
  start(registers: Registers): void {
    setRegisters(this.tid, registers);
    this.#settled = true;
    resume(this.tid);
    this.#running = true;
  }

  /**
   * Waits until a started program has queued the signal that ends it.
   *
   * @throws {StasisError} as the cancellation says: then the program runs on, and {@link quiesce} ends it
   */
  awaitEnd(purpose: string): void {
    this.#awaitEnd(purpose, () => {
      if (!this.#cancellation.isOver) this.#cancellation.check();
    });
  }

  #awaitEnd(purpose: string, whileWaiting: () => void): void {
    let asking = false;
    const look = () => {
      asking = true;
      whileWaiting();
      asking = false;
    };
    try {
      this.#await("signal", () => resume(this.tid), purpose, look);
    } finally {
      // However it ended: the thread stands still now, or is gone; unless nobody waits any longer.
      this.#running = asking;
    }
  }

  /**
   * Waits for a program that was started and that nobody awaited, because something else failed meanwhile.
   * How it ended does not matter any more; that it has ended does, before its memory goes. One that writes
   * gigabytes is interrupted, between two of its calls or in one that can be.
   */
  quiesce(): void {
    if (!this.#running) return;
    try {
      this.#awaitEnd("a program", () => {
        if (this.#cancellation.grace < 0) throw new StasisError("cancelled", "cancelled");
      });
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
    }
    if (this.#running) this.#interruptProgram();
  }

  #interruptProgram(): void {
    const { tid, pid } = this;
    interrupt(tid);
    for (;;) {
      const stop = awaitStop(tid, pid);
      if (stop.kind === "exited" || stop.kind === "killed" || stop.kind === "absent") break;
      if (stop.kind === "signal") {
        const info = getStopSiginfo(tid);
        if (info.payload === PROGRAM_END_MARK && stop.signal === this.#endSignal) break;
        if (isFault(stop.signal, info.code)) break;
        this.#stolen.push(info);
      } else if (stop.kind === "event-stop") {
        if (!peekSiginfo(tid, false).some(({ payload }) => payload === PROGRAM_END_MARK)) break;
        // It has come to its end by itself, and the signal that says so is what it stops for next.
        resume(tid);
        continue;
      }
      // Any stop takes back what was asked for before it (ptrace_stop() of kernel/signal.c).
      interrupt(tid);
      resume(tid);
    }
    this.#settled = true;
    this.#running = false;
  }

  #await(
    wanted: "syscall" | "signal",
    goOn: () => void,
    purpose: string,
    whileWaiting?: () => void,
  ): void {
    for (;;) {
      const stop = awaitStop(this.tid, this.pid, whileWaiting);
      if (stop.kind === "signal") {
        const info = getStopSiginfo(this.tid);
        const ours = info.payload === PROGRAM_END_MARK && stop.signal === this.#endSignal;
        if (ours && wanted === "signal") return;
        if (stop.signal === SIG.SYS && info.code === SYS_USER_DISPATCH) {
          // The stop is one of the signal path; dropping the signal is the next resume's doing.
          this.#settled = true;
          throw new DispatchedError(this.tid, purpose);
        }
        if (isFault(stop.signal, info.code)) throw this.#fault(stop.signal, info, purpose);
        // Somebody's signal got through: it is given back by release().
        this.#stolen.push(info);
      } else if (stop.kind === wanted) return;
      else if (stop.kind === "exited" || stop.kind === "killed" || stop.kind === "absent") {
        throw new StasisError(
          "no-such-task",
          `thread ${this.tid} died ${how(stop)} while ${purpose} ran in it`,
          { pid: this.pid },
        );
      }
      goOn();
    }
  }

  #fault(signal: number, info: Siginfo, purpose: string): StasisError {
    const ip = getRegisters(this.tid).get("ip");
    return new StasisError(
      "internal",
      `${purpose} got ${signalName(signal)} (si_code ${info.code}) at 0x${ip.toString(16)} in ` +
        `thread ${this.tid}`,
      { pid: this.pid },
    );
  }

  /** Waits until a started program has ended its own task, letting it have `signal` if it sends itself one. */
  awaitDeath(signal: number): void {
    for (;;) {
      const stop = awaitStop(this.tid, this.pid);
      if (stop.kind === "exited" || stop.kind === "killed" || stop.kind === "absent") return;
      const ours = stop.kind === "signal" && stop.signal === signal;
      if (stop.kind === "signal" && !ours && isFault(stop.signal, getStopSiginfo(this.tid).code)) {
        throw new StasisError(
          "bad-image",
          `the image of dead task ${this.pid} says that ${
            signalName(signal)
          } killed it, which kills nobody`,
          { pid: this.pid },
        );
      }
      resume(this.tid, ours ? signal : 0);
    }
  }

  /** Brings the thread into a stop of the signal path, where restart codes work. */
  settle(): void {
    if (this.#settled) return;
    interrupt(this.tid);
    resume(this.tid);
    for (;;) {
      const stop = awaitStop(this.tid, this.pid);
      if (stop.kind === "event-stop" || stop.kind === "exited" || stop.kind === "killed") break;
      if (stop.kind === "absent") break;
      if (stop.kind === "signal") this.#stolen.push(getStopSiginfo(this.tid));
      resume(this.tid);
    }
    this.#settled = true;
  }

  /** Says that it stands in a stop of the signal path again, after it was let run by other means than these. */
  hasSettled(): void {
    this.#settled = true;
  }

  /** Signals that reached the thread from outside while calls ran in it, and that it is to be given back. */
  get intercepted(): readonly Siginfo[] {
    return this.#stolen;
  }

  /** Signals that reached the thread from outside while calls ran in it. Taking them empties the list. */
  takeStolen(): Siginfo[] {
    const stolen = this.#stolen;
    this.#stolen = [];
    return stolen;
  }

  /**
   * Lets the thread run on with its registers and signal mask. A thread that is gone needs nothing.
   *
   * @throws {StasisError} if its registers or mask cannot be set; it is let go all the same
   */
  release(): void {
    if (this.#ended) return;
    try {
      if (this.#lost) return;
      this.quiesce();
      this.settle();
      setRegisters(this.tid, this.registers);
      setSignalMask(this.tid, this.signalMask);
      requeueSignals(this.pid, this.tid, this.takeStolen());
    } catch (error) {
      if (!(error instanceof StasisError && error.code === "no-such-task")) throw error;
    } finally {
      detachThread(this.tid, this.pid);
    }
  }
}

/** SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: signals by which the kernel reports a fault. */
const FAULTS: readonly number[] = [4, 5, 7, 8, 11, 31];

/** Whether the kernel raised the signal at what the thread did (si_code > 0), not somebody who sent it. */
function isFault(signal: number, code: number): boolean {
  return code > 0 && FAULTS.includes(signal);
}

function how(stop: Stop): string {
  if (stop.kind === "killed") return `by ${signalName(stop.signal)}`;
  return stop.kind === "exited" ? `with exit code ${stop.code}` : "unseen";
}
