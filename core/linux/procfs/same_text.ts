/**
 * Strings that are cut out of the texts of many files and are mostly the same.
 *
 * @module
 */

/** How many different ones are known at the most. */
const MOST = 256;

const known = new Map<string, string>();

/**
 * The same string for equal ones. One that is cut out of a text keeps the whole text in memory, if it has more than a
 * dozen characters: V8 makes no copy.
 */
export function sameText(text: string): string {
  const same = known.get(text);
  if (same !== undefined) return same;
  if (known.size === MOST) known.clear();
  known.set(text, text);
  return text;
}
