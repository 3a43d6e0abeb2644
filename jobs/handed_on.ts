/**
 * The signals that a job gets in place of whoever saves it, also those that come before it runs.
 *
 * @module
 */
import { SIG } from "../core/linux/signals.ts";

/** Who gets signals. */
export interface Receiver {
  kill(signal: number): unknown;
}

/** Hands signals on, as soon as there is a job. Those that end programs cancel its start meanwhile. */
export class HandedOn {
  readonly #cancelling = new AbortController();
  #early: number[] = [];
  #job: Receiver | undefined;
  #isInterrupted = false;

  /** Aborted where a signal is to end this command before the job runs. */
  get cancelled(): AbortSignal {
    return this.#cancelling.signal;
  }

  /** Whether the job was sent a signal that ends programs. */
  get isInterrupted(): boolean {
    return this.#isInterrupted;
  }

  /** Takes a signal. */
  readonly take = (signal: number): void => {
    if (this.#job === undefined) {
      this.#early.push(signal);
      if (signal !== SIG.USR2) this.#cancelling.abort();
      return;
    }
    if (signal !== SIG.USR2) this.#isInterrupted = true;
    this.#job.kill(signal);
  };

  /**
   * Says that the job runs.
   *
   * @param isNew whether it has just begun: then a SIGUSR2 that came before was not for it, and would kill it, as it kills
   *   whoever has not said yet what is to be done about it
   */
  giveTo(job: Receiver, isNew: boolean): void {
    this.#job = job;
    for (const signal of this.#early) if (!isNew || signal !== SIG.USR2) this.take(signal);
    this.#early = [];
  }
}
