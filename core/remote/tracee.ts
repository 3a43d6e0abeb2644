/**
 * One traced thread: running programs and calls in it, and letting it run on exactly as it was
 * ({@link Tracee.release}): registers, signal mask, signals that were intercepted while calls ran in it.
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
import type { RemoteAddress } from "../linux/address.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { readStat, unlessGone } from "../linux/procfs/mod.ts";
import {
  detach,
  getRegisters,
  getStopSiginfo,
  interrupt,
  peekSiginfo,
  resume,
  resumeToSyscall,
  seize,
  setOptions,
  setRegisters,
  type Stop,
} from "../linux/ptrace.ts";
import {
  detachMany,
  getRegistersOfMany,
  getStopSiginfos,
  putBackMany,
  resumeMany,
  resumeManyToSyscall,
  setRegistersOfMany,
  takeStops,
  type ThreadState,
} from "../linux/ptrace_many.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { signalName } from "../linux/signals.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { PROGRAM_CHECKED_CALL, PROGRAM_WAIT } from "../linux/x86_64/program_code.ts";
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { WAITING_FLAGS } from "../linux/x86_64/waiting_code.ts";
import { detachAsked, detachThread } from "./detach.ts";
import { isInterrupted } from "./interrupted_call.ts";
import { pause } from "./pause.ts";
import { PROGRAM_END_MARK } from "./program.ts";
import { awaitStop, nextStop } from "./reap.ts";
import { isEnd, isFault, TraceeStops } from "./tracee_stops.ts";
import { mustCall, type Substitute, type SubstitutedCall } from "./undo.ts";

/** For how long a call is left alone before it is looked whether it has returned, at first and at most, in milliseconds. */
const FIRST_PATIENCE = 0.01, MOST_PATIENCE = 5;
/** For how long a thread that somebody else is to let go of is asked for, in milliseconds. */
const LETTING_GO = 10_000;

/** Where a thread makes a single call. */
export interface CallSite {
  /** The `syscall` instruction. */
  readonly instruction: RemoteAddress;
  /**
   * For a `syscall` instruction behind which the thread gets to a waiting place by itself: that place, and the middle
   * of memory all of whose words are its address. The thread is stopped there if it needs its tracer for its calls,
   * and otherwise at the call's entry and exit, from which it gets there if the tool dies.
   */
  readonly landing?: { readonly waiting: RemoteAddress; readonly stack: RemoteAddress };
  /** Makes the call in this tool's place, if the thread needs its tracer and cannot see yet whether that lives. */
  readonly substitute?: Substitute;
  /** Code of programs and the word by which it sees whether the tracer lives; absent before they are there. */
  readonly watched?: { readonly code: bigint; readonly alive: bigint };
}

/** One of the calls of {@link Tracee.callAll}. */
export interface CallOfMany {
  readonly thread: Tracee;
  readonly site: Pick<CallSite, "instruction" | "landing">;
  /** The signals that wait for its whole process. */
  readonly sharedPending: readonly Siginfo[];
  readonly name: SyscallName;
  readonly args: readonly (bigint | number)[];
}

/** What came of one of them. */
export type CallOutcome =
  | { readonly result: bigint; readonly error?: undefined }
  | { readonly error: unknown };

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

/** A thread that this process traces and that stands still. */
export class Tracee extends TraceeStops {
  readonly #cancellation: Cancellation;
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
    this.#cancellation = cancellation;
  }

  /**
   * One system call at a `syscall` instruction of the target. Nothing is forced upon the target by the stops that
   * this takes, unlike by a single step (a forced SIGTRAP).
   *
   * @returns the result, or the negative errno
   * @throws {StasisError} as the cancellation says, where the call waits for something: it has done nothing then
   */
  call(
    { instruction, landing, watched, substitute }: CallSite,
    sharedPending: readonly Siginfo[],
    name: SyscallName,
    ...args: (bigint | number)[]
  ): bigint {
    const registers = this.#registersAt({ instruction, landing }, sharedPending, name, ...args);
    if (landing !== undefined && substitute !== undefined) {
      return this.callBy(substitute, registers, name);
    }
    if (landing !== undefined && this.needsTracer) {
      if (watched !== undefined) {
        registers.set("ip", watched.code + BigInt(PROGRAM_CHECKED_CALL))
          .set("r12", instruction).set("r13", watched.alive);
      }
      return this.#callAndLand(registers, landing, name);
    }
    setRegisters(this.tid, registers);
    this.isSettled = false;
    const interruption = this.#interruption();
    for (const _ of ["entry", "exit"]) {
      resumeToSyscall(this.tid);
      this.awaitStop("syscall", () => resumeToSyscall(this.tid), name, interruption.look);
    }
    return interruption.resultOf(getRegisters(this.tid));
  }

  /**
   * One system call in each of many threads, at the same time, as {@link call} makes it where the thread does not need
   * its tracer for its calls.
   *
   * @returns of each the result, or the negative errno, or the error because of which there is none
   */
  static callAll(calls: readonly CallOfMany[]): CallOutcome[] {
    const outcomes: CallOutcome[] = [];
    /** Those that have got so far. */
    let live = calls.map((call, index) => {
      const { thread, site, sharedPending, name, args } = call;
      const registers = thread.#registersAt(site, sharedPending, name, ...args);
      return { ...call, index, registers, interruption: thread.#interruption() };
    });
    type Live = typeof live[number];
    const tidOf = ({ thread }: Live) => thread.tid;
    /** Does with each what could not be done with all, or else leaves it out. */
    const again = (failed: readonly number[], step: (one: Live) => void): void => {
      if (failed.length === 0) return;
      const tids = new Set(failed);
      live = live.filter((one) => {
        try {
          if (tids.has(one.thread.tid)) step(one);
          return true;
        } catch (error) {
          outcomes[one.index] = { error };
          return false;
        }
      });
    };
    const unset = setRegistersOfMany(live.map(tidOf), (at) => (live[at] as Live).registers);
    again(unset, ({ thread, registers }) => setRegisters(thread.tid, registers));
    for (const { thread } of live) thread.isSettled = false;
    for (const _ of ["entry", "exit"]) {
      again(resumeManyToSyscall(live.map(tidOf)), ({ thread }) => resumeToSyscall(thread.tid));
      Tracee.awaitSyscallStops(live.map(({ thread, name, interruption, index }) => ({
        thread,
        goOn: () => resumeToSyscall(thread.tid),
        purpose: name,
        whileWaiting: interruption.look,
        fail: (error) => outcomes[index] = { error },
      })));
      live = live.filter(({ index }) => outcomes[index] === undefined);
    }
    getRegistersOfMany(live.map(tidOf), (tid, registers, at) => {
      const { index, interruption } = live[at] as Live;
      try {
        outcomes[index] = { result: interruption.resultOf(registers ?? getRegisters(tid)) };
      } catch (error) {
        outcomes[index] = { error };
      }
    });
    return outcomes;
  }

  #registersAt(
    { instruction, landing }: Pick<CallSite, "instruction" | "landing">,
    sharedPending: readonly Siginfo[],
    name: SyscallName,
    ...args: readonly (bigint | number)[]
  ): Registers {
    // A program that nobody awaited, since something else failed, does not make room for the call by itself.
    this.quiesce();
    this.endSignal(sharedPending);
    const registers = this.callRegisters(instruction, SYSCALLS[name], ...args);
    return landing === undefined
      ? registers
      : registers.set("sp", landing.stack).set("bp", landing.stack);
  }

  /** What interrupts a call that waits for something when nobody wants it any more. */
  #interruption(): { look: () => void; resultOf: (after: Registers) => bigint } {
    let ended: unknown;
    return {
      look: () => {
        try {
          if (!this.#cancellation.isOver) this.#cancellation.check();
        } catch (error) {
          ended = error;
        }
        // Time and again: a stop takes back what was asked for before it.
        if (ended !== undefined) interrupt(this.tid);
      },
      resultOf(after) {
        if (ended !== undefined && isInterrupted(after)) throw ended;
        return BigInt.asIntN(64, after.get("ax"));
      },
    };
  }

  /**
   * Lets the thread make its call and get to the waiting place behind it, where it is stopped. With a stop at the
   * call's entry, a tool that dies just then would take the suspension away under which the call is to be made.
   */
  #callAndLand(
    registers: Registers,
    { waiting }: NonNullable<CallSite["landing"]>,
    name: string,
  ): bigint {
    const { tid } = this;
    setRegisters(tid, registers);
    for (let patience = FIRST_PATIENCE;; patience = Math.min(2 * patience, MOST_PATIENCE)) {
      resume(tid);
      if (patience > 0.2) pause(patience);
      else for (const end = performance.now() + patience; performance.now() < end;);
      // One that has stopped by itself (a group-stop) must not be asked: it would stop for that as soon as it goes on.
      const first = nextStop(tid, this.pid);
      if (first.kind === "none") interrupt(tid);
      const goOn = () => {
        // Any stop takes back what was asked for before it.
        interrupt(tid);
        resume(tid);
      };
      this.awaitStop("event-stop", goOn, name, undefined, first);
      const now = getRegisters(tid);
      if (now.get("ip") === waiting) return BigInt.asIntN(64, now.get("ax"));
      // It had not got to its call, or is in it: the kernel begins that again, unless nobody wants it any more.
      if (isInterrupted(now) && !this.#cancellation.isOver) this.#cancellation.check();
    }
  }

  /**
   * Makes a call that may wait, and has it interrupted before it does, as by a signal: the kernel keeps what is
   * needed to go on with it. Whoever sets {@link Tracee.registers} to what this gives lets it do so.
   *
   * @param registers those of the call, at a `syscall` instruction
   * @param purpose what it is, for errors
   * @returns the result: a restart code, unless there was nothing to wait for
   */
  callInterrupted(registers: Registers, purpose: string): bigint {
    this.quiesce();
    setRegisters(this.tid, registers);
    this.isSettled = false;
    resumeToSyscall(this.tid);
    this.awaitStop("syscall", () => resumeToSyscall(this.tid), purpose);
    // Asked for at the call's entry, so that it finds itself interrupted.
    interrupt(this.tid);
    resume(this.tid);
    this.awaitStop("event-stop", () => resume(this.tid), purpose);
    this.isSettled = true;
    return BigInt.asIntN(64, getRegisters(this.tid).get("ax"));
  }

  /**
   * One call, traced by somebody else meanwhile. The thread takes no signal in between: it is handed over with all of
   * them blocked.
   *
   * @param registers those with which it makes the call
   * @param purpose what it is, for errors
   * @returns the result, or the negative errno
   */
  callBy(substitute: Substitute, registers: Registers, purpose: string): bigint {
    this.quiesce();
    for (;;) {
      const end = this.#handOver(purpose, (thread) => substitute.run({ ...thread, registers }));
      for (const info of end.signals) this.takeSignal(info.signal, info, purpose, end.registers);
      if (end.isMade) return BigInt.asIntN(64, end.registers.get("ax"));
      // Something came in between: a stop signal, or one that ends a stop.
      if (!this.#cancellation.isOver) this.#cancellation.check();
    }
  }

  /** Lets go of the thread where it waits, and takes it back when something has been done. */
  #handOver<T>(
    purpose: string,
    work: (thread: Omit<SubstitutedCall, "registers">) => T,
  ): T {
    const { pid, tid, options } = this;
    this.waitAgain();
    this.blockAll(true);
    if (isErrno(detach(tid))) throw this.hasDied({ kind: "absent" }, purpose);
    let done: T;
    try {
      done = work({ pid, tid, options, waiting: this.baseRegisters() });
    } catch (error) {
      this.#takeBack(purpose);
      throw error;
    }
    this.#takeBack(purpose);
    return done;
  }

  /** Traces the thread again, which waits untraced. */
  #takeBack(purpose: string): void {
    const { pid, tid, options } = this;
    const end = performance.now() + LETTING_GO;
    for (;;) {
      const seized = seize(tid, options);
      if (!isErrno(seized)) break;
      if (!isAlive(pid, tid)) throw this.hasDied({ kind: "absent" }, purpose);
      // Whoever was to trace it may be dying; and somebody else may have begun to trace it just then.
      const isTaken = seized === -BigInt(Errno.EPERM) && performance.now() < end;
      if (!isTaken && seized !== -BigInt(Errno.EINTR)) throw cannotTakeBack(pid, tid, seized);
      pause(1);
    }
    interrupt(tid);
    const goOn = () => {
      // Any stop takes back what was asked for before it.
      interrupt(tid);
      resume(tid);
    };
    this.awaitStop("event-stop", goOn, purpose);
    this.blockAll(false);
    this.isSettled = true;
  }

  /** Starts a program. @param options the ptrace options from then on, if others */
  start(at: ProgramPlace, options?: bigint): void {
    setRegisters(this.tid, this.#programRegisters(at));
    if (options !== undefined) setOptions(this.tid, options);
    resume(this.tid);
    this.#begin(at);
  }

  /** Starts a program in each of many threads. */
  static startAll(threads: readonly Tracee[], places: readonly ProgramPlace[]): void {
    const placeOf = (index: number) => places[index] as ProgramPlace;
    const tids = threads.map(({ tid }) => tid);
    const unset = setRegistersOfMany(
      tids,
      (index) => (threads[index] as Tracee).#programRegisters(placeOf(index)),
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
  static awaitEnds(runs: readonly (readonly [thread: Tracee, purpose: string])[]): void {
    // They run at the same time, and the last one comes to its end when most others have.
    for (let rest = runs.filter(([thread]) => thread.#running); rest.length > 0;) {
      const [thread, purpose] = rest.at(-1) as typeof rest[number];
      thread.awaitEnd(purpose);
      rest = Tracee.#takeEnds(rest.slice(0, -1));
    }
  }

  /** @returns those whose programs go on */
  static #takeEnds(
    runs: readonly (readonly [thread: Tracee, purpose: string])[],
  ): (readonly [thread: Tracee, purpose: string])[] {
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
      if (!this.#cancellation.isOver) this.#cancellation.check();
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

  /**
   * Lets many threads run on, as {@link release} does.
   *
   * @throws {StasisError} the first of what could not be put back
   */
  static releaseAll(threads: readonly Tracee[]): void {
    const failures: unknown[] = [];
    const attempt = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        failures.push(error);
      }
    };
    try {
      Tracee.settleAll(threads.filter((thread) => thread.#isUnchanged));
    } catch (error) {
      // One that cannot settle is let go of by itself, which tells why.
      if (!(error instanceof StasisError)) throw error;
    }
    const plain = threads.filter((thread) => thread.#isUnchanged && thread.isSettled);
    const unset = new Set(putBackMany(plain.map(({ tid }) => tid), (at) => plain[at] as Tracee));
    const ready = plain.filter(({ tid }) => !unset.has(tid));
    const traced = new Set(detachMany(ready.map(({ tid }) => tid)));
    const released = new Set(ready);
    for (const thread of threads) {
      if (!released.has(thread)) attempt(() => thread.release());
      else {
        if (traced.has(thread.tid)) detachThread(thread.tid, thread.pid);
        thread.forget();
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Whether nothing runs in it, and its mask and registers are all that is to be put back. */
  get #isUnchanged(): boolean {
    return !this.hasEnded && !this.isLost && !this.#running && !this.isChanged &&
      this.intercepted.length === 0;
  }

  /**
   * Lets the thread run on with its registers and signal mask. A thread that is gone needs nothing.
   *
   * @throws {StasisError} the first of what could not be put back; all else was, and it is let go all the same
   */
  release(): void {
    if (this.hasEnded) return;
    const failures: unknown[] = [];
    // One that has failed is no reason to leave out the others, its registers and mask least of all.
    const attempt = (step: () => void): "done" | "failed" | "gone" => {
      try {
        step();
        return "done";
      } catch (error) {
        if (error instanceof StasisError && error.code === "no-such-task") return "gone";
        failures.push(error);
        return "failed";
      }
    };
    let stands = true;
    if (!this.isLost) {
      const still = [attempt(() => this.quiesce()), attempt(() => this.settle())];
      stands = still.every((step) => step === "done");
      const results = this.describeUndo().calls.map((call) =>
        attempt(() => mustCall(call, this.tid))
      );
      // The last one is of the thread itself.
      if (results.at(-1) !== "gone") {
        attempt(() => this.giveSignalsBack());
      }
      this.forgetSignals();
    }
    // One that could not be brought to stand may have stopped for a signal by now that is its own.
    if (stands) detachThread(this.tid, this.pid);
    else detachAsked(this.tid, this.pid);
    this.forget();
    if (failures.length > 0) throw failures[0];
  }
}

function isAlive(pid: number, tid: number): boolean {
  return !["Z", "X"].includes(unlessGone(() => readStat(pid, tid).state, "X"));
}

function cannotTakeBack(pid: number, tid: number, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("syscall", `thread ${tid} cannot be traced again: ${errno}`, {
    pid,
    errno,
    hint:
      "another tracer (a debugger, strace) has taken it just then: end that, and the task, which waits",
  });
}
