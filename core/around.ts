/**
 * Running an operation with hooks around it.
 *
 * @module
 */
import type { StasisError } from "../base/errors.ts";
import { asStasisError } from "../base/thrown.ts";
import { blame } from "./hooks.ts";
import type { OperationHooks, Plugin } from "./plugin.ts";

/** What is done around an operation. */
export interface Around<Result> {
  /** Runs a plugin's hook before it. */
  before(hooks: OperationHooks): void | Promise<void>;
  /** Runs the one after it. */
  after(
    hooks: OperationHooks,
    result: Result | undefined,
    failure: StasisError | undefined,
  ): void | Promise<void>;
  /** Tells of what fails beside the operation. */
  note(text: string): void;
  /** Whether the result is worth more than to be told by an error that a hook after it has failed: that is noted then. */
  readonly keepsResult: boolean;
}

/**
 * Runs an operation with the hooks of plugins around it: each whose hook before was called has the other one called,
 * whatever has failed.
 *
 * @throws {StasisError} by what a hook before or the operation has failed; otherwise, unless the result is kept, by what
 * the first hook after has, when all have been called
 */
export async function around<Result>(
  plugins: readonly Plugin[],
  { before, after, note, keepsResult }: Around<Result>,
  operation: () => Promise<Result>,
): Promise<Result> {
  const begun: Plugin[] = [];
  const conclude = async (
    result: Result | undefined,
    failure: StasisError | undefined,
  ): Promise<StasisError[]> => {
    const failures: StasisError[] = [];
    for (const plugin of begun.reverse()) {
      try {
        await after(plugin.around as OperationHooks, result, failure);
      } catch (error) {
        failures.push(blame(plugin, error));
      }
    }
    return failures;
  };
  let result: Result;
  try {
    for (const plugin of plugins) {
      if (plugin.around === undefined) continue;
      begun.push(plugin);
      try {
        await before(plugin.around);
      } catch (error) {
        throw blame(plugin, error);
      }
    }
    result = await operation();
  } catch (error) {
    const failure = asStasisError(error);
    for (const { message } of await conclude(undefined, failure)) note(message);
    throw failure;
  }
  const failures = await conclude(result, undefined);
  const first = keepsResult ? undefined : failures.shift();
  for (const { message } of failures) note(message);
  if (first !== undefined) throw first;
  return result;
}
