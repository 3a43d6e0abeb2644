/**
 * Running programs in a traced thread: starting them, in many threads at the same time, too, and waiting for their end.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import {
  getStopSiginfo,
  interrupt,
  peekSiginfo,
  resume,
  setOptions,
  setRegisters,
  type Stop,
} from "../linux/ptrace.ts";
import {
  getStopSiginfos,
  resumeMany,
  setRegistersOfMany,
  takeStops,
  type ThreadState,
} from "../linux/ptrace_many.ts";
import { signalName } from "../linux/signals.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { PROGRAM_WAIT } from "../linux/x86_64/program_code.ts";
import { WAITING_FLAGS } from "../linux/x86_64/waiting_code.ts";
import { PROGRAM_END_MARK } from "./program_image.ts";
import { awaitStop } from "./reap.ts";
import { isEnd, isFault, TraceeStops } from "./tracee_stops.ts";

/** Where a program lies. */
export interface ProgramPlace {
  readonly code: bigint;
  /** Its first entry. */
  readonly entries: bigint;
  readonly tail: bigint;
  /** The first entry of its sequel, if it has one. */
  readonly sequel?: bigint;
  /** The word that tells whether the tracer lives. */
  readonly alive: bigint;
}

/** A thread that runs programs. */
export abstract class TraceePrograms extends TraceeStops {
  /** Ends the waiting for what runs in it. */
  protected readonly cancellation: Cancellation;
  /** Whether a program was started in it whose end has not been awaited. */
  #running = false;

  /**
   * Takes note of a thread that stands still (`stop_thread.ts` makes it do so).
   *
   * @param groupStop the signal whose group-stop it is in; 0 if none
   * @param options the ptrace options in force
   * @param cancellation ends the waiting for programs that run in it
   * @param state what it was found with, if that has been read already
   * @throws {StasisError} `no-such-task` if it was killed in this very moment
   */
  constructor(
    tid: number,
    pid: number,
    groupStop: number,
    options: bigint,
    cancellation: Cancellation,
    state?: ThreadState,
  ) {
    super(tid, pid, groupStop, options, state);
    this.cancellation = cancellation;
  }

  /** Whether a program was started in it whose end has not been awaited. */
  protected get isRunning(): boolean {
    return this.#running;
  }

  /** Starts a program. @param options the ptrace options from then on, if others */
  start(at: ProgramPlace, options?: bigint): void {
    setRegisters(this.tid, this.#programRegisters(at));
    if (options !== undefined) setOptions(this.tid, options);
    resume(this.tid);
    this.#begin(at);
  }

  /** Starts a program in each of many threads. */
  static startAll(threads: readonly TraceePrograms[], places: readonly ProgramPlace[]): void {
    const placeOf = (index: number) => places[index] as ProgramPlace;
    const tids = threads.map(({ tid }) => tid);
    const unset = setRegistersOfMany(
      tids,
      (index) => (threads[index] as TraceePrograms).#programRegisters(placeOf(index)),
    );
    // None of them runs yet where one says why it does not.
    if (unset.length > 0) {
      const again = new Set(unset);
      threads.forEach((thread, index) => {
        if (again.has(thread.tid)) {
          setRegisters(thread.tid, thread.#programRegisters(placeOf(index)));
        }
      });
    }
    const standing = new Set(resumeMany(tids));
    threads.forEach((thread, index) => standing.has(thread.tid) || thread.#begin(placeOf(index)));
    if (standing.size === 0) return;
    threads.forEach((thread, index) => standing.has(thread.tid) && thread.start(placeOf(index)));
  }

  #programRegisters(at: ProgramPlace): Registers {
    return this.baseRegisters()
      .set("ip", at.code).set("ax", 0n).set("orig_ax", -1n)
      .set("bx", at.entries).set("r12", at.tail).set("r13", at.alive)
      // A trap flag of the thread's own would end the program at its first instruction.
      .set("flags", WAITING_FLAGS);
  }

  #begin(at: ProgramPlace): void {
    this.programEnd = at.code + BigInt(PROGRAM_WAIT);
    this.isSettled = true;
    this.#running = true;
  }

  /**
   * Waits until a started program has queued the signal that ends it.
   *
   * @throws {StasisError} as the cancellation says: then the program runs on, and {@link quiesce} ends it
   */
  awaitEnd(purpose: string): void {
    this.#awaitItsEnd(purpose);
  }

  /** The same of many threads, each with what its program is for. */
  static awaitEnds(runs: readonly (readonly [thread: TraceePrograms, purpose: string])[]): void {
    // They run at the same time, and the last one comes to its end when most others have.
    for (let rest = runs.filter(([thread]) => thread.#running); rest.length > 0;) {
      const [thread, purpose] = rest.at(-1) as typeof rest[number];
      thread.awaitEnd(purpose);
      rest = TraceePrograms.#takeEnds(rest.slice(0, -1));
    }
  }

  /** @returns those whose programs go on */
  static #takeEnds(
    runs: readonly (readonly [thread: TraceePrograms, purpose: string])[],
  ): (readonly [thread: TraceePrograms, purpose: string])[] {
    const left: (typeof runs[number])[] = [];
    const stopped: { readonly run: typeof runs[number]; readonly stop: Stop }[] = [];
    takeStops(runs.map(([{ tid }]) => tid), (_, stop, index) => {
      const run = runs[index] as typeof runs[number];
      if (stop.kind === "none") left.push(run);
      else stopped.push({ run, stop });
    });
    const unexpected: typeof stopped = [];
    getStopSiginfos(stopped.map(({ run: [{ tid }] }) => tid), (_, info, index) => {
      const { run: [thread], stop } = stopped[index] as typeof stopped[number];
      const hasEnded = stop.kind === "signal" && info?.payload === PROGRAM_END_MARK &&
        thread.isEndSignal(stop.signal);
      if (hasEnded) thread.#running = false;
      else unexpected.push(stopped[index] as typeof stopped[number]);
    });
    // Nobody is told of these stops again: each is dealt with, whatever becomes of the others.
    const failures: unknown[] = [];
    for (const { run: [thread, purpose], stop } of unexpected) {
      try {
        thread.#awaitItsEnd(purpose, stop);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return left;
  }

  #awaitItsEnd(purpose: string, first?: Stop): void {
    this.#awaitEnd(purpose, () => {
      if (!this.cancellation.isOver) this.cancellation.check();
    }, first);
  }

  #awaitEnd(purpose: string, whileWaiting: () => void, first?: Stop): void {
    let asking = false;
    const look = () => {
      asking = true;
      whileWaiting();
      asking = false;
    };
    try {
      this.awaitStop("signal", () => resume(this.tid), purpose, look, first);
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
        if (this.cancellation.grace < 0) throw new StasisError("cancelled", "cancelled");
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
      if (isEnd(stop)) break;
      if (stop.kind === "signal") {
        const info = getStopSiginfo(tid);
        if (info.payload === PROGRAM_END_MARK && this.isEndSignal(stop.signal)) break;
        if (isFault(stop.signal, info.code)) break;
        this.keepSignal(info);
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
    this.isSettled = true;
    this.#running = false;
  }

  /** Waits until a started program has ended its own task, letting it have `signal` if it sends itself one. */
  awaitDeath(signal: number): void {
    for (;;) {
      const stop = awaitStop(this.tid, this.pid);
      if (isEnd(stop)) return;
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
}
