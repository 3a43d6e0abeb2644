/**
 * Calls that many programs have alike, each kept once: thousands of tasks make nearly the same ones.
 *
 * @module
 */
import { type Argument, type Call, CallResult, type SharedCalls } from "./program.ts";

/** Calls whose arguments are numbers, strings and results alone, by what they are. */
export class CallPool implements SharedCalls {
  readonly #calls = new Map<string, Readonly<Call>>();
  readonly #numbers = new Map<Readonly<Call>, number>();
  readonly #lists = new Map<string, readonly Readonly<Call>[]>();

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
    this.#numbers.set(call, this.#numbers.size);
    return call;
  }

  findList(calls: readonly Readonly<Call>[]): readonly Readonly<Call>[] | undefined {
    let key = "";
    for (const call of calls) {
      const number = this.#numbers.get(call);
      if (number === undefined) return undefined;
      key += String.fromCharCode(number & 0x7fff, number >> 15);
    }
    const found = this.#lists.get(key);
    if (found !== undefined) return found;
    const list = Object.freeze([...calls]);
    this.#lists.set(key, list);
    return list;
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
  // It is the position of a call: whoever takes it stands in a program that has made it.
  return argument instanceof CallResult ? `\0r${argument.index}` : undefined;
}
