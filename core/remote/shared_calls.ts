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
    const key = JSON.stringify(
      wanted,
      (_, value) => typeof value === "bigint" ? `${value}n` : value,
    );
    let calls = this.#calls.get(key);
    if (calls === undefined) {
      const fresh = new SyscallProgram(program.purpose);
      plan(fresh);
      this.#calls.set(key, calls = fresh.readonlyCalls);
    }
    program.share(calls);
  }
}
