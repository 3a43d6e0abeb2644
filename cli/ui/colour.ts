/**
 * Colour, where it is wanted: on terminals, unless NO_COLOR is set (https://no-color.org); FORCE_COLOR wants it
 * everywhere.
 *
 * @module
 */
import { styleText } from "node:util";

/** The styles in use. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Whether a stream gets colour. */
export function hasColour(
  stream: { isTerminal(): boolean },
  env: (name: string) => string | undefined = (name) => Deno.env.get(name),
): boolean {
  if (env("NO_COLOR")) return false;
  return env("FORCE_COLOR") ? true : stream.isTerminal() && env("TERM") !== "dumb";
}

/** A text in a style, or as it is. */
export function paint(style: Style, text: string, colour: boolean): string {
  return colour ? styleText(style, text, { validateStream: false }) : text;
}
