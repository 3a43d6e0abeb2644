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

/** The lines of where an error comes from, without its message. */
function stackOf(error: Error): string {
  return (error.stack ?? "").split("\n").filter((line) => /^ +at /.test(line)).join("\n");
}

/** How a {@link Progress} talks. */
export interface ProgressOptions {
  /** Takes text. */
  readonly write: (text: string) => void;
  /** Whether it goes to a terminal. */
  readonly terminal: boolean;
  readonly colour: boolean;
  /** How much is told: 0 notes alone, 1 phases and details as well, 2 steps, 3 the system calls of each step. */
  readonly level: number;
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

  /** Shows progress on stderr of this process. @param level see {@link ProgressOptions.level} */
  static onStderr(level: number, colour: boolean): Progress {
    return Progress.into(Deno.stderr, { level, terminal: Deno.stderr.isTerminal(), colour });
  }

  /** Shows progress in a file. @param lost is told why something could not be written */
  static into(
    file: { writeSync(bytes: Uint8Array): number },
    options: Omit<ProgressOptions, "write" | "now">,
    lost: (cause: unknown) => void = () => {},
  ): Progress {
    const encoder = new TextEncoder();
    return new Progress({
      ...options,
      write: (text) => {
        try {
          file.writeSync(encoder.encode(text));
        } catch (cause) {
          // A full disk, or a terminal that is gone: what is told is not worth what is done.
          lost(cause);
        }
      },
    });
  }

  /** Takes an event. */
  readonly listener = (event: StasisEvent): void => {
    const { level, colour } = this.#options;
    switch (event.kind) {
      case "note":
        this.#say(`${paint("yellow", "note:", colour)} ${printable(event.text)}`);
        break;
      case "phase":
        if (level >= 1) this.#say(`${this.#time()} ${paint("bold", event.phase, colour)}`);
        break;
      case "detail":
        if (level >= 1) this.#say(`${this.#time()}   ${event.plugin}: ${printable(event.text)}`);
        break;
      case "step":
        if (level >= 2) this.#say(`${this.#time()}   ${printable(event.text)}`);
        if (level >= 3) { for (const call of event.calls()) this.#say(`${" ".repeat(15)}${call}`); }
        break;
      case "progress":
        if (this.#options.terminal) this.#draw(event.what, event.done, event.total);
    }
  };

  /** Tells by what an operation has failed: the errors behind the one that its user is told, and of the steps where. */
  fail(error: unknown): void {
    const { level } = this.#options;
    if (level === 0 || !(error instanceof Error)) return;
    this.#say(`${this.#time()} failed: ${printable(error.message)}`);
    if (level >= 2) this.#say(stackOf(error));
    if (error.cause !== undefined) this.#because(error.cause);
  }

  #because(cause: unknown): void {
    const isError = cause instanceof Error;
    this.#say(`${" ".repeat(12)}because: ${printable(isError ? cause.message : String(cause))}`);
    if (!isError) return;
    if (this.#options.level >= 2) this.#say(stackOf(cause));
    if (cause.cause !== undefined) this.#because(cause.cause);
  }

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
