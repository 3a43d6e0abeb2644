/**
 * What is told of problems where some follow from others. Pure.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";

/** The problems without those that only follow from a decisive one of the same task; decisive ones come first. */
export function rootCauses(problems: readonly Problem[]): readonly Problem[] {
  const decisive = problems.filter((problem) => problem.decisive);
  if (decisive.length === 0) return problems;
  const decided = new Set(decisive.map(({ pid }) => pid));
  return [...decisive, ...problems.filter(({ pid }) => !decided.has(pid))];
}
