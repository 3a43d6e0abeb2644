/**
 * Tells the story of the demo, with times.
 *
 * @module
 */

import { hasColour, paint } from "../../cli/ui/colour.ts";

/** How wide the story is, in columns. */
const WIDTH = 90;

/** Breaks a text into lines of at most so many columns, at spaces. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Prints what happens. Each part says how many seconds have passed since the start. */
export class Narrator {
  readonly #start: number;
  readonly #colour = hasColour(Deno.stdout);

  /** @param elapsed seconds since the start, where the story has begun elsewhere */
  constructor(elapsed = 0) {
    this.#start = performance.now() - elapsed * 1000;
  }

  /** Seconds since the start. */
  get elapsed(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** Begins a part. */
  heading(text: string): void {
    console.log(`\n${paint("bold", `== ${text} ==`, this.#colour)}`);
  }

  /** Says what happens. */
  say(text: string): void {
    const time = `${this.elapsed.toFixed(2)} s`.padStart(8);
    const [first, ...rest] = wrap(text, WIDTH - 10);
    console.log(`${paint("dim", time, this.#colour)}  ${first}`);
    for (const line of rest) console.log(`${" ".repeat(10)}${line}`);
  }

  /** Shows a command. */
  command(text: string): void {
    console.log(`\n${" ".repeat(10)}${paint("cyan", `$ ${text}`, this.#colour)}`);
  }

  /** Shows what a command has printed. */
  output(text: string): void {
    for (const line of text.trimEnd().split("\n")) {
      console.log(`${" ".repeat(12)}${line}`.trimEnd());
    }
    console.log("");
  }

  /** Tells a success. */
  good(text: string): void {
    for (const line of wrap(text, WIDTH - 10)) {
      console.log(`${" ".repeat(10)}${paint("green", line, this.#colour)}`);
    }
  }

  /** Tells a failure. */
  bad(text: string): void {
    console.error(paint("red", `The demo failed: ${text}`, hasColour(Deno.stderr)));
  }
}
