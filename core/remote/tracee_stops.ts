/**
 * What a traced thread stops for: waiting for it, telling the signal that ends a program from those that somebody sent,
 * which are kept and given back.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import {
  getRegisters,
  getStopSiginfo,
  interrupt,
  peekSiginfo,
  resume,
  type Stop,
} from "../linux/ptrace.ts";
import { interruptMany, resumeMany, takeStops } from "../linux/ptrace_many.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { SIG, signalName } from "../linux/signals.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { PROGRAM_END_MARK } from "./program_image.ts";
import { awaitStop } from "./reap.ts";
import { requeueSignals } from "./requeue_signals.ts";
import { TraceeState } from "./tracee_state.ts";
import type { Noted } from "./undo.ts";

/** `si_code` of the SIGSYS of Syscall User Dispatch (`include/uapi/asm-generic/siginfo.h`). */
const SYS_USER_DISPATCH = 2;

/** A thread that is waited for with others. */
export interface AwaitedThread {
  readonly thread: TraceeStops;
  readonly goOn: () => void;
  readonly purpose: string;
  readonly whileWaiting: () => void;
  /** Is told why it has not come to its stop. */
  readonly fail: (error: unknown) => void;
}

/** A thread that is waited for. */
export abstract class TraceeStops extends TraceeState {
  /** Whether it stands in a stop of the signal path. */
  protected isSettled = true;
  /** Where a program that has sent the signal of its end waits. */
  protected programEnd = 0n;
  #stolen: Siginfo[] = [];
  readonly #notedSignals: Noted[] = [];

  /**
   * Waits for a stop of a kind, past others.
   *
   * @param goOn lets it run on from those
   * @param purpose what runs in it, for errors
   * @param whileWaiting is called now and then, and may throw
   * @param first a stop of it that has been taken already
   * @throws {StasisError} `no-such-task` if it ends, or what it does that nobody can go on after
   */
  protected awaitStop(
    wanted: "syscall" | "signal" | "event-stop",
    goOn: () => void,
    purpose: string,
    whileWaiting?: () => void,
    first: Stop = { kind: "none" },
  ): void {
    for (let stop = first;; stop = { kind: "none" }) {
      if (stop.kind === "none") stop = awaitStop(this.tid, this.pid, whileWaiting);
      if (stop.kind === "signal") {
        const isEnd = this.takeSignal(stop.signal, getStopSiginfo(this.tid), purpose);
        if (wanted === "signal" && (isEnd || this.endedUnheard())) return;
      } else if (stop.kind === wanted) return;
      else if (isEnd(stop)) throw this.hasDied(stop, purpose);
      goOn();
    }
  }

  /**
   * Waits for the next entry or exit of a system call of many threads. Whatever becomes of one, the others are waited
   * for.
   */
  protected static awaitSyscallStops(threads: readonly AwaitedThread[]): void {
    const wait = (one: AwaitedThread, first?: Stop): void => {
      const { thread, goOn, purpose, whileWaiting, fail } = one;
      try {
        thread.awaitStop("syscall", goOn, purpose, whileWaiting, first);
      } catch (error) {
        fail(error);
      }
    };
    // They run at the same time, and the last one comes to its stop when most others have.
    for (let rest = threads; rest.length > 0;) {
      wait(rest.at(-1) as AwaitedThread);
      const others = rest.slice(0, -1);
      const left: AwaitedThread[] = [];
      // Nobody is told of these stops again: each is dealt with.
      const unexpected: (readonly [AwaitedThread, Stop])[] = [];
      takeStops(others.map(({ thread }) => thread.tid), (_, stop, index) => {
        const one = others[index] as AwaitedThread;
        if (stop.kind === "none") left.push(one);
        else if (stop.kind !== "syscall") unexpected.push([one, stop]);
      });
      for (const [one, stop] of unexpected) wait(one, stop);
      rest = left;
    }
  }

  /**
   * Takes a signal that it has stopped for.
   *
   * @param registers those with which it has stopped, where they are known
   * @returns whether it is that of a program's end; another one is kept
   * @throws {StasisError} where it is a fault, or dispatch
   */
  protected takeSignal(
    signal: number,
    info: Siginfo,
    purpose: string,
    registers?: Registers,
  ): boolean {
    if (info.payload === PROGRAM_END_MARK && this.isEndSignal(signal)) return true;
    if (signal === SIG.SYS && info.code === SYS_USER_DISPATCH) {
      // The stop is one of the signal path; dropping the signal is the next resume's doing.
      this.isSettled = true;
      throw isDispatched(this.tid, purpose);
    }
    if (isFault(signal, info.code)) {
      const { tid, pid } = this;
      const ip = (registers ?? getRegisters(tid)).get("ip").toString(16);
      const what = `${signalName(signal)} (si_code ${info.code}) at 0x${ip}`;
      throw new StasisError("internal", `${purpose} got ${what} in thread ${tid}`, { pid });
    }
    this.keepSignal(info);
    return false;
  }

  protected hasDied(stop: Stop, purpose: string): StasisError {
    return new StasisError(
      "no-such-task",
      `thread ${this.tid} died ${how(stop)} while ${purpose} ran in it`,
      { pid: this.pid },
    );
  }

  /**
   * Whether a program has ended, and no signal will say so: one of the kind that somebody sent at that moment waited for
   * the thread already (`legacy_queue()` of `kernel/signal.c`).
   */
  protected endedUnheard(registers: Registers = getRegisters(this.tid)): boolean {
    return registers.get("ip") === this.programEnd &&
      !peekSiginfo(this.tid, false).some(({ payload }) => payload === PROGRAM_END_MARK);
  }

  /** Brings the thread into a stop of the signal path, where restart codes work. */
  settle(): void {
    if (this.isSettled) return;
    interrupt(this.tid);
    resume(this.tid);
    this.#awaitSettled({ kind: "none" });
  }

  /**
   * Does so with many threads.
   *
   * @throws {StasisError} the first of what has failed, when all others have settled
   */
  static settleAll(threads: readonly TraceeStops[]): void {
    const restless = threads.filter(({ isSettled }) => !isSettled);
    // None may run that has not been asked to stop: it would not, and be waited for.
    const unasked = new Set(interruptMany(restless.map(({ tid }) => tid)));
    const asked = restless.filter(({ tid }) => !unasked.has(tid));
    const still = new Set(resumeMany(asked.map(({ tid }) => tid)));
    const going = asked.filter(({ tid }) => !still.has(tid));
    const stops = new Map<TraceeStops, Stop>();
    takeStops(going.map(({ tid }) => tid), (_, stop, index) => {
      stops.set(going[index] as TraceeStops, stop);
    });
    const failures: unknown[] = [];
    for (const thread of restless) {
      try {
        const stop = stops.get(thread);
        if (stop === undefined) thread.settle();
        else thread.#awaitSettled(stop);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  #awaitSettled(first: Stop): void {
    for (let stop = first;; stop = { kind: "none" }) {
      if (stop.kind === "none") stop = awaitStop(this.tid, this.pid);
      if (stop.kind === "event-stop" || isEnd(stop)) break;
      if (stop.kind === "signal") this.keepSignal(getStopSiginfo(this.tid));
      resume(this.tid);
    }
    this.isSettled = true;
  }

  /** Says that it stands in a stop of the signal path again, after it was let run by other means than these. */
  hasSettled(): void {
    this.isSettled = true;
  }

  /**
   * Keeps a signal that it has taken already, to be given back: where that cannot be noted, this process knows of it at
   * least.
   */
  protected keepSignal(info: Siginfo): void {
    this.#stolen.push(info);
    try {
      const noted = this.rescuer?.noteSignal(this.pid, this.tid, info);
      if (noted !== undefined) this.#notedSignals.push(noted);
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
    }
  }

  /** Signals that reached the thread from outside while calls ran in it, and that it is to be given back. */
  get intercepted(): readonly Siginfo[] {
    return this.#stolen;
  }

  /** Sends them again. */
  protected giveSignalsBack(): void {
    requeueSignals(this.pid, this.tid, this.#stolen);
  }

  /** Forgets them: they have been sent again, or there is nobody left to get them. */
  protected forgetSignals(): void {
    this.#stolen = [];
    for (const noted of this.#notedSignals.splice(0)) noted.erase();
  }
}

/** Whether a thread has ended. */
export function isEnd({ kind }: Stop): boolean {
  return kind === "exited" || kind === "killed" || kind === "absent";
}

/** SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: signals by which the kernel reports a fault. */
const FAULTS: readonly number[] = [4, 5, 7, 8, 11, 31];

/** Whether the kernel raised the signal at what the thread did (si_code > 0), not somebody who sent it. */
export function isFault(signal: number, code: number): boolean {
  return code > 0 && FAULTS.includes(signal);
}

/** The error for a thread whose calls are turned into SIGSYS: it has dispatch that nobody has suspended. */
function isDispatched(tid: number, purpose: string): StasisError {
  return new StasisError(
    "unsupported",
    `${purpose} was turned into a SIGSYS: thread ${tid} has Syscall User Dispatch on, which this kernel cannot suspend`,
    { pid: tid, hint: "boot Linux 6.4 or later, or one with the series of kernel/patches" },
  );
}

function how(stop: Stop): string {
  if (stop.kind === "killed") return `by ${signalName(stop.signal)}`;
  return stop.kind === "exited" ? `with exit code ${stop.code}` : "unseen";
}
