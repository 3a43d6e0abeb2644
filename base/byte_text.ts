/**
 * Names as strings that lose no byte. Linux's paths and names are bytes, mostly UTF-8 and not always. Here they
 * are strings everywhere: bytes that are no UTF-8 stand in them as lone surrogates, U+DC80 to U+DCFF for 0x80 to
 * 0xff, as in Python (PEP 383). No UTF-8 decodes to such ones, so each string stands for one sequence of bytes.
 *
 * What hands a name to the kernel or to an image encodes it with {@link encodeBytes}, what reads one decodes it with
 * {@link decodeBytes}. Deno's own file functions put U+FFFD in place of the surrogates: they are for paths that the
 * user gives or that are ASCII; `core/linux/files.ts` has what takes any.
 *
 * @module
 */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Where the surrogates of bytes begin: byte 0x80 is U+DC80. */
const ESCAPE = 0xdc00;
const FIRST = 0xdc80, LAST = 0xdcff;

/** The string for these bytes. */
export function decodeBytes(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeEscaped(bytes);
  }
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = asciiLength(bytes, at) || characterLength(bytes, at);
    if (length === 0) text += String.fromCharCode(ESCAPE + (bytes[at++] as number));
    else text += strict.decode(bytes.subarray(at, at += length));
  }
  return text;
}

/** How many bytes from this place on are ASCII. */
function asciiLength(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && (bytes[at] as number) < 0x80) at++;
  return at - from;
}

/** How many bytes the character at this place has, which is not ASCII; 0 if there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + length > bytes.length) return 0;
  try {
    strict.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}

/**
 * The bytes for this string; the inverse of {@link decodeBytes}.
 *
 * @throws {TypeError} where it has a surrogate that stands for nothing
 */
export function encodeBytes(text: string): Uint8Array<ArrayBuffer> {
  if (text.isWellFormed()) return encoder.encode(text);
  const bytes = new Uint8Array(text.length * 3);
  let size = 0;
  for (const part of text.split(/([\udc80-\udcff])/u)) {
    const code = part.codePointAt(0) as number;
    if (part.length === 1 && code >= FIRST && code <= LAST) bytes[size++] = code - ESCAPE;
    else if (part.isWellFormed()) size += encoder.encodeInto(part, bytes.subarray(size)).written;
    else throw new TypeError(`${JSON.stringify(text)} stands for no bytes`);
  }
  return bytes.slice(0, size);
}

/**
 * The same into memory that is there already.
 *
 * @returns how many bytes; undefined where there is no room for them
 * @throws {TypeError} as {@link encodeBytes}
 */
export function encodeBytesInto(text: string, target: Uint8Array<ArrayBuffer>): number | undefined {
  if (text.isWellFormed()) {
    const { read, written } = encoder.encodeInto(text, target);
    return read === text.length ? written : undefined;
  }
  const bytes = encodeBytes(text);
  if (bytes.length > target.length) return undefined;
  target.set(bytes);
  return bytes.length;
}

/** Signs that turn around, join or part what stands beside them (Unicode: bidirectional formatting, joiners). */
const INVISIBLE = "\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff";
const UNPRINTABLE = new RegExp(
  `[\\0-\\x09\\x0b-\\x1f\\x7f-\\x9f${INVISIBLE}\\udc80-\\udcff]`,
  "gu",
);

/**
 * A text for people: bytes that are no text, and control characters other than a newline, as `\xNN`; those of more
 * bytes, which a terminal obeys too, and what makes other signs show elsewhere, as `\uNNNN`.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, hexEscape);
}

/** A name for people, on one line: as {@link printable}, and a newline as `\n`, a backslash as `\\`. */
export function printableName(name: string): string {
  return printable(
    name.replaceAll("\\", "\\\\").replaceAll("\n", "\\n"),
  );
}

function hexEscape(character: string): string {
  const code = character.charCodeAt(0);
  if (code >= 0x80 && (code < FIRST || code > LAST)) {
    return `\\u${code.toString(16).padStart(4, "0")}`;
  }
  const byte = code >= FIRST ? code - ESCAPE : code;
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
