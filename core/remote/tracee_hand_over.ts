/**
 * A call in a thread that somebody else traces meanwhile (`stand_in.ts`): letting go of the thread where it waits, and
 * taking it back.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { readStat, unlessGone } from "../linux/procfs/mod.ts";
import { detach, interrupt, resume, seize } from "../linux/ptrace.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { pause } from "../linux/pause.ts";
import { TraceePrograms } from "./tracee_programs.ts";
import type { Substitute, SubstitutedCall } from "./undo.ts";

/** For how long a thread that somebody else is to let go of is asked for, in milliseconds. */
const LETTING_GO = 10_000;

/** A thread that may be traced by somebody else for the time of a call. */
export abstract class TraceeHandOver extends TraceePrograms {
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
      if (!this.cancellation.isOver) this.cancellation.check();
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
    try {
      this.#insist(() => detach(tid), "cannot be let go of for a call", purpose);
    } catch (error) {
      // With its signals blocked nothing that runs in it afterwards, the release included, would tell of its end.
      this.blockAll(false);
      throw error;
    }
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
    const { tid, options } = this;
    this.#insist(() => seize(tid, options), "cannot be traced again", purpose);
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

  /**
   * Makes a request until the kernel takes it: whoever was to trace the thread may be dying, somebody else may have begun
   * to trace it just then. Nothing that the kernel says holds for long, and a thread that is left here waits for ever.
   */
  #insist(request: () => bigint, failure: string, purpose: string): void {
    const { pid, tid } = this;
    const end = performance.now() + LETTING_GO;
    for (let result = request(); isErrno(result); result = request()) {
      if (!isAlive(pid, tid)) throw this.hasDied({ kind: "absent" }, purpose);
      if (performance.now() > end) throw refused(pid, tid, failure, result);
      pause(1);
    }
  }
}

function isAlive(pid: number, tid: number): boolean {
  return !["Z", "X"].includes(unlessGone(() => readStat(pid, tid).state, "X"));
}

function refused(pid: number, tid: number, failure: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("syscall", `thread ${tid} ${failure}: ${errno}`, {
    pid,
    errno,
    hint:
      "try again; where another tracer (a debugger, strace) has taken it, end that, and the task, which waits",
  });
}
