/**
 * The words of a command line: out of memory, and for people. Pure.
 *
 * @module
 */
import { decodeBytes, printableName } from "../../base/byte_text.ts";

/** How many characters people are shown at most, where they do not ask for all. */
const SHOWN = 300;

/** The words in a process's memory, each with a zero behind it. */
export function splitArguments(bytes: Uint8Array): readonly string[] | undefined {
  const last = bytes.findLastIndex((byte) => byte !== 0);
  return last < 0 ? undefined : decodeBytes(bytes.subarray(0, last + 1)).split("\0");
}

/** Words as one would type them to a shell. @param whole however many there are */
export function describeArguments(words: readonly string[], whole: boolean): string {
  const text = words.map((word) => {
    const shown = printableName(word);
    return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", `'\\''`)}'`;
  }).join(" ");
  return whole || text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}...`;
}
