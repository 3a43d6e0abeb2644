/**
 * Colour, where it is wanted: on terminals, unless NO_COLOR is set (https://no-color.org); FORCE_COLOR wants it
 * everywhere.
 *
 * @module
 */

/** The styles in use: what begins and what ends each, as parameters of SGR (ECMA-48). */
const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;

/** A style. */
export type Style = keyof typeof STYLES;

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
  if (!colour) return text;
  const [begin, end] = STYLES[style];
  return `\x1b[${begin}m${text}\x1b[${end}m`;
}
