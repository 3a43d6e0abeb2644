/**
 * JSON for scripts.
 *
 * @module
 */

/** TypeScript's library does not know it yet (ECMAScript proposal "JSON.parse source text access"). */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/**
 * A value as JSON on several lines. A bigint becomes a number literal with all its digits, so that no reader
 * loses bits unless it reads numbers as doubles; addresses are strings in hexadecimal beforehand.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, one) => typeof one === "bigint" ? rawJSON(one.toString()) : one,
    2,
  );
}
