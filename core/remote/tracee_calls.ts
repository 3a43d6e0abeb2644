/**
 * Single system calls in a traced thread, and in many at the same time.
 *
 * @module
 */
import type { RemoteAddress } from "../linux/address.ts";
import { getRegisters, interrupt, resume, resumeToSyscall, setRegisters } from "../linux/ptrace.ts";
import {
  getRegistersOfMany,
  resumeManyToSyscall,
  setRegistersOfMany,
} from "../linux/ptrace_many.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { PROGRAM_CHECKED_CALL } from "../linux/x86_64/program_code.ts";
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { isInterrupted } from "./interrupted_call.ts";
import { pause } from "../linux/pause.ts";
import { nextStop } from "./reap.ts";
import { TraceeHandOver } from "./tracee_hand_over.ts";
import type { Substitute } from "./undo.ts";

/** For how long a call is left alone before it is looked whether it has returned, at first and at most, in milliseconds. */
const FIRST_PATIENCE = 0.01, MOST_PATIENCE = 5;

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

/** One of the calls of {@link TraceeCalls.callAll}. */
export interface CallOfMany {
  readonly thread: TraceeCalls;
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

/** A thread that makes single calls. */
export abstract class TraceeCalls extends TraceeHandOver {
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
      TraceeCalls.awaitSyscallStops(live.map(({ thread, name, interruption, index }) => ({
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
          if (!this.cancellation.isOver) this.cancellation.check();
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
      if (isInterrupted(now) && !this.cancellation.isOver) this.cancellation.check();
    }
  }

  /**
   * Makes a call that may wait, and has it interrupted before it does, as by a signal: the kernel keeps what is
   * needed to go on with it. Whoever sets {@link TraceeCalls.registers} to what this gives lets it do so.
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
}
