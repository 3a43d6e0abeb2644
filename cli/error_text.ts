/**
 * Errors as people and as scripts read them.
 *
 * @module
 */
import { printable } from "../base/byte_text.ts";
import type { Problem, StasisError } from "../base/errors.ts";
import { paint } from "./ui/colour.ts";

/**
 * An error for people: one sentence, the problems behind it as a list, what to do.
 *
 * @param colour whether to colour it
 */
export function describeError(error: StasisError, colour: boolean): string {
  const lines = [`${paint("red", "stasis:", colour)} ${printable(error.message)}`];
  for (const problem of error.problems) {
    lines.push(`  - ${whose(problem)}${printable(problem.what)}`);
    if (problem.hint !== undefined) {
      lines.push(`    ${paint("dim", printable(problem.hint), colour)}`);
    }
  }
  if (error.hint !== undefined) {
    lines.push(`${paint("cyan", "hint:", colour)} ${printable(error.hint)}`);
  }
  return lines.join("\n");
}

function whose({ pid, tid, plugin }: Problem): string {
  if (pid === undefined) return `[${plugin}] `;
  return tid === undefined || tid === pid ? `[${pid} ${plugin}] ` : `[${pid}/${tid} ${plugin}] `;
}

/** What `--json` prints of an error. */
export function errorJson(error: StasisError): { readonly error: Record<string, unknown> } {
  const { code, exitStatus, message, pid, errno, plugin, hint, problems } = error;
  return { error: { code, exitStatus, message, pid, errno, plugin, hint, problems } };
}
