/**
 * One traced thread: letting it run on exactly as it was ({@link Tracee.release}): registers, signal mask, signals that
 * were intercepted while calls ran in it. What runs in it is `tracee_programs.ts`'s and `tracee_calls.ts`'s, what it
 * stops for `tracee_stops.ts`'s, what is known of it `tracee_state.ts`'s.
 *
 * The last stop before a thread runs on must be one in the kernel's signal path (an interrupt's or a
 * signal's, not a system call's exit): only there does the kernel look at the restart codes in the
 * registers (`arch_do_signal_or_restart()`), and so carries on an interrupted system call by itself.
 * {@link Tracee.settle} makes sure of that.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { detachMany, putBackMany, setManyHalfway } from "../linux/ptrace_many.ts";
import { detachAsked, detachThread } from "./detach.ts";
import { TraceeCalls } from "./tracee_calls.ts";
import { mustCall } from "./undo.ts";

/** A thread that this process traces and that stands still. */
export class Tracee extends TraceeCalls {
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
    const putBack = (some: readonly Tracee[], set: typeof putBackMany) =>
      set(some.map(({ tid }) => tid), (index) => some[index] as Tracee);
    const unset = new Set([
      ...putBack(plain.filter((thread) => !thread.isEndedBySignals), putBackMany),
      ...putBack(plain.filter((thread) => thread.isEndedBySignals), setManyHalfway),
    ]);
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
    return !this.hasEnded && !this.isLost && !this.isRunning && !this.isChanged &&
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
