/**
 * Errors as people and as scripts read them.
 *
 * @module
 */
import { printable } from "../base/byte_text.ts";
import type { Problem, StasisError } from "../base/errors.ts";
import { groupProblems } from "./group_problems.ts";
import { paint } from "./ui/colour.ts";

/**
 * An error for people: one sentence, the problems behind it as a list with equal ones once, what to do.
 *
 * @param colour whether to colour it
 */
export function describeError(error: StasisError, colour: boolean): string {
  const lines = [`${paint("red", "stasis:", colour)} ${printable(error.message)}`];
  lines.push(...describeProblems(error.problems, colour));
  if (error.hint !== undefined) {
    lines.push(`${paint("cyan", "hint:", colour)} ${printable(error.hint)}`);
  }
  return lines.join("\n");
}

/** Problems as a list, equal ones once. @param colour whether to colour it */
export function describeProblems(problems: readonly Problem[], colour: boolean): string[] {
  const lines: string[] = [];
  for (const { shown, more } of groupProblems(problems)) {
    for (const { whose, what, hint } of shown) {
      lines.push(`  - [${whose}] ${printable(what)}`);
      if (hint !== undefined) lines.push(`    ${paint("dim", printable(hint), colour)}`);
    }
    if (more > 0) lines.push(`    and ${more} more like these (--json lists them all)`);
  }
  return lines;
}

/** What `--json` prints of an error. */
export function errorJson(error: StasisError): { readonly error: Record<string, unknown> } {
  const { code, exitStatus, message, pid, errno, plugin, hint, problems } = error;
  return { error: { code, exitStatus, message, pid, errno, plugin, hint, problems } };
}
