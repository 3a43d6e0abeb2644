/**
 * How long each phase of an operation takes, by what it tells of itself. Pure but for the clock.
 *
 * @module
 */
import type { EventListener, Phase } from "../../base/events.ts";

/** A phase that has ended. */
export interface PhaseTime {
  readonly phase: Phase;
  /** In microseconds. */
  readonly duration: bigint;
}

/** A duration of the clock in milliseconds, to the microsecond: what follows is noise of floating point. */
export function toMicroseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

/** Listens to the phases of one operation. */
export class PhaseTimes {
  readonly #begun: { readonly phase: Phase; readonly at: number }[] = [];
  readonly #now: () => number;

  /** @param now the time in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Tells another listener all that this one hears. */
  before(listener: EventListener): EventListener {
    return (event) => {
      if (event.kind === "phase") this.#begun.push({ phase: event.phase, at: this.#now() });
      listener(event);
    };
  }

  /** Those that have ended, in their order: all but the one that goes on. */
  get ended(): PhaseTime[] {
    return this.#begun.slice(0, -1).map(({ phase, at }, index) => ({
      phase,
      duration: BigInt(Math.round(((this.#begun[index + 1]?.at ?? at) - at) * 1000)),
    }));
  }
}
