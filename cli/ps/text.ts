/**
 * What `stasis ps` prints for people.
 *
 * @module
 */
import { printable, printableName } from "../../base/byte_text.ts";
import type { Verdict } from "../../core/checkpoint/survey_only.ts";
import { describeProblems } from "../error_text.ts";
import { groupProblems } from "../group_problems.ts";
import { paint } from "../ui/colour.ts";
import { table } from "../ui/table.ts";
import { plural } from "../ui/units.ts";

/** How much is printed, and how. */
export interface TextOptions {
  /** Every problem, with what to do. */
  readonly verbose: boolean;
  readonly colour: boolean;
}

/** The lines: a process each, and what stands against those that cannot be checkpointed. */
export function describeVerdicts(
  verdicts: readonly Verdict[],
  { verbose, colour }: TextOptions,
): string[] {
  const rows = verdicts.map(({ pid, comm, tasks, problems }) => [
    String(pid),
    printableName(comm),
    tasks === 0 ? "" : plural(tasks, "process", "processes"),
    problems.length === 0
      ? paint("green", "yes", colour)
      : `${paint("red", "no", colour)}${verbose ? "" : `   ${summary(problems)}`}`,
  ]);
  const lines = table(rows, ["right", "left", "right"]);
  const yes = verdicts.filter(({ problems }) => problems.length === 0).length;
  return [
    ...lines.flatMap((line, index) => {
      const { problems } = verdicts[index] as Verdict;
      return verbose ? [line, ...describeProblems(problems, colour)] : [line];
    }),
    `${yes} of ${plural(verdicts.length, "process", "processes")} can be checkpointed`,
  ];
}

/** The first reason, and how many others there are. */
function summary(problems: Verdict["problems"]): string {
  const reasons = groupProblems(problems).flatMap(({ shown }) => shown);
  const [first] = reasons;
  const count = reasons.length - 1;
  const more = count === 0 ? "" : ` (and ${plural(count, "other reason")}: -v)`;
  return `${first?.whose}: ${printable(first?.what ?? "")}${more}`;
}
