/**
 * What an operation tells while it runs, on stderr: notes always, details where they are wanted, and how far
 * long work is on one line that is drawn over again, on terminals alone.
 *
 * @module
 */
import { printable } from "../../base/byte_text.ts";
import type { StasisEvent } from "../../base/events.ts";
import { paint } from "./colour.ts";
import { formatBytes } from "./units.ts";

/** Goes to the first column and clears the line (ECMA-48 EL). */
const CLEAR = "\r\x1b[K";

/** How a {@link Progress} talks. */
export interface ProgressOptions {
  /** Takes text. */
  readonly write: (text: string) => void;
  /** Whether it goes to a terminal. */
  readonly terminal: boolean;
  readonly colour: boolean;
  /** Whether details are wanted. */
  readonly verbose: boolean;
  /** The time in milliseconds. */
  readonly now?: () => number;
}

/** Shows events. Disposing of it clears the line of progress. */
export class Progress implements Disposable {
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  #shown = false;
  #drawn = -Infinity;
  #work = "";
  #began = 0;
  readonly #start: number;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#start = this.#now();
  }

  /** Shows progress on stderr of this process. */
  static onStderr(verbose: boolean, colour: boolean): Progress {
    const encoder = new TextEncoder();
    return new Progress({
      write: (text) => {
        try {
          Deno.stderr.writeSync(encoder.encode(text));
        } catch {
          // A full disk, or a terminal that is gone: what is told is not worth what is done.
        }
      },
      terminal: Deno.stderr.isTerminal(),
      colour,
      verbose,
    });
  }

  /** Takes an event. */
  readonly listener = (event: StasisEvent): void => {
    const { verbose, colour } = this.#options;
    switch (event.kind) {
      case "note":
        this.#say(`${paint("yellow", "note:", colour)} ${printable(event.text)}`);
        break;
      case "phase":
        if (verbose) this.#say(`${this.#time()} ${paint("bold", event.phase, colour)}`);
        break;
      case "detail":
        if (verbose) this.#say(`${this.#time()}   ${event.plugin}: ${event.text}`);
        break;
      case "progress":
        if (this.#options.terminal) this.#draw(event.what, event.done, event.total);
    }
  };

  #time(): string {
    return `${(this.#now() - this.#start).toFixed(1).padStart(8)} ms`;
  }

  #say(line: string): void {
    this[Symbol.dispose]();
    this.#options.write(`${line}\n`);
  }

  #draw(what: string, done: bigint, total: bigint): void {
    const now = this.#now();
    if (what !== this.#work) {
      this.#work = what;
      this.#began = now;
      this.#drawn = now; // short work is never shown
      return;
    }
    if (now - this.#drawn < 100) return;
    this.#drawn = now;
    const percent = total > 0n ? `${done * 100n / total} %` : "";
    const rate = formatBytes(Math.round(Number(done) / ((now - this.#began) / 1000)));
    this.#options.write(
      `${CLEAR}${what}  ${percent}  ${formatBytes(done)} of ${formatBytes(total)}  ${rate}/s`,
    );
    this.#shown = true;
  }

  [Symbol.dispose](): void {
    if (this.#shown) this.#options.write(CLEAR);
    this.#shown = false;
  }
}
