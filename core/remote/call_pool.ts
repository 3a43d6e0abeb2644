/**
 * Calls that many programs have alike, each kept once: thousands of tasks make nearly the same ones.
 *
 * @module
 */
import type { Argument, Call, SharedCalls } from "./program.ts";

/** Calls whose arguments are numbers and strings alone, by what they are. */
export class CallPool implements SharedCalls {
  readonly #calls = new Map<string, Readonly<Call>>();

  find(call: Readonly<Call>): Readonly<Call> | undefined {
    const { name, args, required, expect, where, explain } = call;
    if (where !== undefined || explain !== undefined) return undefined;
    let key = `${name}\0${required}\0${expect ?? ""}`;
    for (const argument of args) {
      const word = wordOf(argument);
      if (word === undefined) return undefined;
      key += word;
    }
    const found = this.#calls.get(key);
    if (found !== undefined) return found;
    this.#calls.set(key, call);
    return call;
  }
}

/** No string that a call takes has a NUL in it. */
function wordOf(argument: Argument): string | undefined {
  switch (typeof argument) {
    case "number":
      return `\0${argument}`;
    case "bigint":
      return `\0n${argument}`;
    case "string":
      return `\0"${argument}`;
  }
}
