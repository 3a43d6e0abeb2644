/**
 * The emulator's accounts: what it prints while it works, and what it says at the end.
 *
 * @module
 */

import { table } from "../../cli/ui/table.ts";

/** One line of progress. */
export interface Progress {
  /** Foreign calls that the programs have made and got back. */
  readonly issued: number;
  /** Calls that the emulator has answered. */
  readonly emulated: number;
}

/** The lines of progress in an emulator's output. */
export function readProgress(output: string): Progress[] {
  return [...output.matchAll(/^progress issued (\d+) emulated (\d+) /gm)]
    .map(([, issued, emulated]) => ({ issued: Number(issued), emulated: Number(emulated) }));
}

/** What the counters are, for people. */
const ROWS: readonly (readonly [string, string])[] = [
  ["programs", "foreign programs"],
  ["issued", "foreign calls that they made"],
  ["emulated", "calls that the emulator answered"],
  ["leaked", "calls that Linux got to see"],
  ["lost_or_twice", "calls lost or seen twice"],
  ["wrong_results", "wrong answers"],
  ["sent", "messages sent through the pipe"],
  ["received", "messages received"],
  ["appended", "lines written to the file"],
  ["logged", "lines found in the file"],
];

/** The report that an emulator gives at its end. */
export class Accounts {
  readonly #values: ReadonlyMap<string, number>;

  private constructor(values: ReadonlyMap<string, number>) {
    this.#values = values;
  }

  /** Reads a report. @throws {SyntaxError} where a counter is missing */
  static parse(output: string): Accounts {
    const values = new Map<string, number>();
    for (const [, key, value] of output.matchAll(/^(\w+)=(\d+)$/gm)) {
      values.set(key!, Number(value));
    }
    for (const [key] of ROWS) {
      if (!values.has(key)) throw new SyntaxError(`the emulator did not report ${key}`);
    }
    return new Accounts(values);
  }

  /** A counter. */
  get(name: string): number {
    return this.#values.get(name)!;
  }

  /** Foreign calls. */
  get issued(): number {
    return this.get("issued");
  }

  /** All counters with what they are. */
  table(): string[] {
    return table(ROWS.map(([key, what]) => [what, String(this.get(key))]), ["left", "right"]);
  }
}

/**
 * What is wrong with a report; nothing if all is well.
 *
 * @param atLeast how many calls had been made when it was last looked at
 */
export function compareAccounts(accounts: Accounts, atLeast: number): string[] {
  const wrong: string[] = [];
  const same = (a: string, b: string) => {
    if (accounts.get(a) !== accounts.get(b)) {
      wrong.push(`${a} is ${accounts.get(a)}, ${b} is ${accounts.get(b)}`);
    }
  };
  same("issued", "emulated");
  same("sent", "received");
  same("appended", "logged");
  for (const key of ["leaked", "lost_or_twice", "wrong_results"]) {
    if (accounts.get(key) !== 0) wrong.push(`${key} is ${accounts.get(key)}`);
  }
  if (accounts.issued < atLeast) wrong.push(`there were ${atLeast} calls already`);
  return wrong;
}
