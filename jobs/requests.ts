/**
 * What is wanted of whoever saves a job: by signals, and by time.
 *
 * @module
 */
import { watchForCancellation } from "../core/cancellation.ts";
import { SignalWatch } from "../core/linux/signal_watch.ts";
import { SIG } from "../core/linux/signals.ts";

/** Signals that a job gets in place of this process. */
const HANDED_ON = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGUSR2: 12 } as const;
const OWN = { SIGTERM: SIG.TERM, SIGUSR1: SIG.USR1 } as const;

/** What is to be done next. */
export type Wanted =
  /** The job is to be saved. */
  | "save"
  /** It is to be saved for the last time. */
  | "stop"
  /** It has ended. */
  | "ended";

/** Listens to signals, until it is disposed of. */
export class Requests implements Disposable {
  readonly #listening: DisposableStack;
  readonly #watch: SignalWatch;
  readonly #handOn: (signal: number) => void;
  #save = false;
  #stop = false;
  #ended = false;
  #wake: () => void = () => {};
  #aborting: AbortController | undefined;

  /** @param handOn is told of each signal that is the job's */
  constructor(handOn: (signal: number) => void) {
    this.#handOn = handOn;
    using stack = new DisposableStack();
    const ignored = ignoredSignals();
    // What whoever started this process has it ignore (nohup(1)) is the job's to ignore, too.
    const listened = Object.entries({ ...HANDED_ON, ...OWN }).filter(([, signal]) =>
      (ignored & (1n << BigInt(signal - 1))) === 0n
    );
    this.#watch = stack.use(
      new SignalWatch(Object.fromEntries(listened), (signal) => this.#take(signal)),
    );
    stack.use(watchForCancellation(() => this.look()));
    this.#listening = stack.move();
  }

  #take(signal: number): void {
    if (signal === SIG.TERM) {
      this.#stop = true;
      this.#aborting?.abort();
    } else if (signal === SIG.USR1) this.#save = true;
    else this.#handOn(signal);
    this.#wake();
  }

  /** Sees signals that have come by now, of which nobody was told yet. */
  look(): void {
    this.#watch.look();
  }

  /** Whether the job has ended. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /** Whether the job is to be stopped. */
  get isToStop(): boolean {
    return this.#stop;
  }

  /** Has the job be saved now. */
  save(): void {
    this.#save = true;
    this.#wake();
  }

  /** Says that the job has ended, or is not to be saved any more: a save that is under way is not wanted then. */
  end(): void {
    this.#ended = true;
    this.#aborting?.abort();
    this.#wake();
  }

  /**
   * What ends an operation where the job is to be stopped: it holds up the last save; and where the job has ended: its
   * number may be somebody else's next.
   */
  abortedByStop(): AbortSignal {
    const aborting = this.#aborting = new AbortController();
    if (this.#stop || this.#ended) aborting.abort();
    return aborting.signal;
  }

  /** Waits until something is to be done. @param time until the job is to be saved in any case, in milliseconds */
  async next(time: number): Promise<Wanted> {
    this.#aborting = undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const due = Promise.withResolvers<void>();
    if (!this.#isWanted) {
      this.#wake = due.resolve;
      timer = setTimeout(() => {
        this.#save = true;
        due.resolve();
      }, Math.max(0, time));
      await due.promise;
    }
    clearTimeout(timer);
    this.#wake = () => {};
    if (this.#ended) return "ended";
    if (this.#stop) return "stop";
    this.#save = false;
    return "save";
  }

  get #isWanted(): boolean {
    return this.#ended || this.#stop || this.#save;
  }

  [Symbol.dispose](): void {
    this.#listening.dispose();
  }
}

/** The signals that this process ignores, as a mask. */
function ignoredSignals(): bigint {
  const text = /^SigIgn:\t([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
  return BigInt(`0x${text ?? "0"}`);
}
