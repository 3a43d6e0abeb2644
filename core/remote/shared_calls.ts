/**
 * Calls that many programs have: what the threads of a process are to be is nearly always the same for all of them, so it
 * is planned once, and kept once.
 *
 * @module
 */
import { type Call, SyscallProgram } from "./program.ts";

/** Calls by what they bring about. */
export class SharedCalls {
  readonly #calls = new Map<string, readonly Readonly<Call>[]>();

  /**
   * Adds calls to a program, as {@link SyscallProgram.share} does.
   *
   * @param wanted all that the calls depend on: plain data, bytes and bigints
   * @param plan adds them to a program; called where nobody has wanted the same before
   */
  add(program: SyscallProgram, wanted: unknown, plan: (program: SyscallProgram) => void): void {
    const key = keyOf(wanted);
    let calls = this.#calls.get(key);
    if (calls === undefined) {
      const fresh = new SyscallProgram(program.purpose);
      plan(fresh);
      this.#calls.set(key, calls = fresh.readonlyCalls);
    }
    program.share(calls);
  }
}

function keyOf(wanted: unknown): string {
  try {
    return JSON.stringify(wanted);
  } catch (error) {
    // It takes no bigints, which few have; to ask of everything whether it is one takes longer than to plan it.
    if (!(error instanceof TypeError)) throw error;
    const withBigints = (_: string, one: unknown) => typeof one === "bigint" ? `${one}n` : one;
    return JSON.stringify(wanted, withBigints);
  }
}
