/**
 * `checkpoint` and `restore` for tests that expect them to succeed: the message of an error has all its problems, since
 * the test runner prints nothing else of it.
 *
 * @module
 */
import * as stasis from "../../mod.ts";

/** As that of `mod.ts`. */
export function checkpoint(
  ...args: Parameters<typeof stasis.checkpoint>
): ReturnType<typeof stasis.checkpoint> {
  return tellingAll(stasis.checkpoint(...args));
}

/** As that of `mod.ts`. */
export function restore(
  ...args: Parameters<typeof stasis.restore>
): ReturnType<typeof stasis.restore> {
  return tellingAll(stasis.restore(...args));
}

async function tellingAll<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    if (error instanceof stasis.StasisError) error.message = textOf(error);
    throw error;
  }
}

/** What an error says, with its problems and hints. */
export function textOf({ message, problems, hint }: stasis.StasisError): string {
  const lines = problems.map(({ pid, plugin, what }) => `  - [${pid ?? "all"}, ${plugin}] ${what}`);
  return [message, ...lines, ...hint === undefined ? [] : [`hint: ${hint}`]].join("\n");
}
