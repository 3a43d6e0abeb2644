// SPDX-License-Identifier: MIT
/**
 * Tells what is being done and how far it is, and in the end where the time went. On a terminal the
 * current line is redrawn; elsewhere (CI) a line is written when a step starts, every 30 seconds in a
 * long one, and when it ends.
 *
 * @module
 */

const REDRAW_MS = 250;
const REPEAT_MS = 30_000;

/** One finished step. */
export interface Timing {
  readonly step: string;
  readonly seconds: number;
}

/** Progress of a sequence of steps, written to stderr. */
export class Progress {
  readonly timings: Timing[] = [];
  readonly #isTerminal = Deno.stderr.isTerminal();
  #lastShown = 0;

  /** Runs a step; `update` inside it tells how far it is. */
  async step<T>(name: string, work: (update: (detail: string) => void) => Promise<T>): Promise<T> {
    const start = performance.now();
    this.#write(`${name} ...`, true);
    this.#lastShown = start;
    const result = await work((detail) => {
      const now = performance.now();
      if (now - this.#lastShown < (this.#isTerminal ? REDRAW_MS : REPEAT_MS)) return;
      this.#lastShown = now;
      this.#write(`${name}: ${detail} (${formatSeconds((now - start) / 1000)})`, true);
    });
    const seconds = (performance.now() - start) / 1000;
    this.timings.push({ step: name, seconds });
    this.#write(`${name}: done in ${formatSeconds(seconds)}`, false);
    return result;
  }

  /** Says something that is no step. */
  say(text: string): void {
    this.#write(text, false);
  }

  #write(text: string, transient: boolean): void {
    const line = this.#isTerminal ? `\r\x1b[K${text}${transient ? "" : "\n"}` : `${text}\n`;
    Deno.stderr.writeSync(new TextEncoder().encode(line));
  }
}

/** Seconds as people say them: `0.3 s`, `12 s`, `6 min 38 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** A table of the steps with their share of the whole. */
export function formatTimings(timings: readonly Timing[]): string {
  const total = timings.reduce((sum, { seconds }) => sum + seconds, 0);
  const width = Math.max(5, ...timings.map(({ step }) => step.length));
  const row = (name: string, seconds: number) =>
    `  ${name.padEnd(width)}  ${formatSeconds(seconds).padStart(12)}  ${
      `${Math.round(100 * seconds / (total || 1))} %`.padStart(5)
    }`;
  return [
    "Where the time went:",
    ...timings.map(({ step, seconds }) => row(step, seconds)),
    row("total", total),
  ].join("\n");
}
