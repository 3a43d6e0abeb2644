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

/**
 * The same value, which JSON.stringify() takes too: it does not know what to do with a bigint, so what has some gets a
 * `toJSON()`, which nobody else sees.
 */
export function withJson<Value extends object>(value: Value): Value {
  const entries = Object.entries(value).map(([key, one]) => [
    key,
    typeof one === "bigint" ? rawJSON(one.toString()) : one,
  ]);
  return Object.defineProperty(value, "toJSON", { value: () => Object.fromEntries(entries) });
}
