/**
 * Ending an operation before its time: because the user cancels it, or because it takes too long while a tree
 * stands still.
 *
 * Most of a freeze is synchronous code, during which no event of JavaScript is delivered: neither a signal's
 * handler nor a timer of the user's runs. So there are {@link watchForCancellation | sources} that such code asks
 * itself, and every loop that can be long either asks ({@link Cancellation.check}) or lets events have their turn
 * ({@link Cancellation.breathe}).
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { sleep } from "./linux/libc_ffi.ts";
import { SignalWatch } from "./linux/signal_watch.ts";
import { ENDING_SIGNALS } from "./linux/signals.ts";

/** How long an operation may hold up everything else of its process, in milliseconds. */
const BREATH = 50;
/** How long calls that are under way in a target have to come to their end when an operation fails, in milliseconds. */
const GRACE = 300;

/** The sources, each of which aborts what it is for where it has seen a reason to. */
const sources = new Set<() => void>();

/**
 * Has synchronous code look at a source of cancellations, until it is disposed of.
 *
 * @param look aborts an AbortController if there is a reason to; it is called often, and must be cheap
 */
export function watchForCancellation(look: () => void): Disposable {
  sources.add(look);
  return { [Symbol.dispose]: () => void sources.delete(look) };
}

/**
 * Listens to the signals that end a program (SIGHUP, SIGINT, SIGQUIT, SIGTERM), and has the synchronous code of
 * operations see them too. While this exists they do nothing else.
 *
 * @param onSignal is told the number of each that has come
 * @throws {StasisError} `syscall` if their handlers cannot be set
 */
export function onEndingSignals(onSignal: (signal: number) => void): Disposable {
  using stack = new DisposableStack();
  const watch = stack.use(new SignalWatch(ENDING_SIGNALS, onSignal));
  stack.use(watchForCancellation(() => watch.look()));
  return stack.move();
}

/** One operation's end before its time. */
export class Cancellation {
  /** The user's. */
  readonly signal: AbortSignal;
  #limit: { readonly at: number; readonly error: () => StasisError } | undefined;
  #lastBreath = performance.now();
  #graceEnd: number | undefined;
  #isOver = false;

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  /**
   * Sets a limit of time, until what is returned is disposed of.
   *
   * @param ms milliseconds from now; Infinity for none
   * @param error what {@link check} throws when they are over
   */
  limit(ms: number, error: () => StasisError): Disposable {
    this.#limit = { at: performance.now() + ms, error };
    return { [Symbol.dispose]: () => void (this.#limit = undefined) };
  }

  /** Whether the limit of time is over. */
  get isLate(): boolean {
    return this.#limit !== undefined && performance.now() > this.#limit.at;
  }

  /** @throws {StasisError} `cancelled` where the user cancelled */
  throwIfCancelled(): void {
    for (const look of sources) look();
    if (!this.signal.aborted) return;
    this.end();
    throw new StasisError("cancelled", "cancelled");
  }

  /** @throws {StasisError} `cancelled` where the user cancelled; that of the limit where time is over */
  check(): void {
    this.throwIfCancelled();
    if (!this.isLate) return;
    this.end();
    throw this.#limit?.error();
  }

  /** Says that the operation has failed, and is being undone. So it does itself when it ends an operation. */
  end(): void {
    this.#isOver = true;
  }

  /** Whether the operation is being undone: what is done in a target from now on has to be done. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Lets timers, signals and other events run, so that a cancellation is seen between two steps that block;
   * but not more often than need be, since a turn of the event loop costs a millisecond.
   *
   * @throws {StasisError} as {@link check}
   */
  async breathe(): Promise<void> {
    this.check();
    if (performance.now() - this.#lastBreath <= BREATH) return;
    await sleep(1);
    this.#lastBreath = performance.now();
    this.check();
  }

  /**
   * How long calls that are under way in targets may take still, in milliseconds, now that the operation has failed:
   * all of them together, from when this is first asked.
   */
  get grace(): number {
    this.#graceEnd ??= performance.now() + GRACE;
    return this.#graceEnd - performance.now();
  }
}

/** The cancellation of what nobody cancels, and that has no limit. */
export function uncancelled(): Cancellation {
  return new Cancellation(new AbortController().signal);
}
