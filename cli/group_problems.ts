/**
 * Problems as people want to read them: equal ones once, with all whom they concern; of those that differ in numbers
 * alone (thousands of descriptors of one kind) the first ones, and how many more there are. Pure.
 *
 * @module
 */
import type { Problem } from "../base/errors.ts";

/** How many of those that differ in numbers alone are shown. */
const MOST_ALIKE = 3;
/** How many tasks are named that have the same problem. */
const MOST_NAMED = 8;

/** A problem, and whom it concerns. */
export interface ProblemGroup {
  /** Tasks, and threads as `PID/TID`, with the plugin that says so: `7 files`, `7, 9/10 and 3 more files`. */
  readonly whose: string;
  readonly what: string;
  readonly hint?: string;
}

/** Problems of one kind. */
export interface ProblemKind {
  readonly shown: readonly ProblemGroup[];
  /** How many problems are like those that are shown. */
  readonly more: number;
}

/** Groups problems, in the order in which the first of each kind came. */
export function groupProblems(problems: readonly Problem[]): ProblemKind[] {
  const kinds = groupBy(
    problems,
    ({ plugin, what, hint }) =>
      key([plugin, what, hint].map((text) => text?.replaceAll(/\d+/g, "0"))),
  );
  return kinds.map((alike) => {
    const groups = groupBy(alike, ({ what, hint }) => key([what, hint]));
    // One more takes no more room than to say that there is one more.
    const count = groups.length > MOST_ALIKE + 1 ? MOST_ALIKE : groups.length;
    return {
      shown: groups.slice(0, count).map(describe),
      more: groups.slice(count).reduce((sum, group) => sum + group.length, 0),
    };
  });
}

function describe(group: readonly Problem[]): ProblemGroup {
  const [{ plugin, what, hint }] = group as [Problem];
  const names = [...new Set(group.map(nameOf))].filter((name) => name !== "");
  const named = names.slice(0, names.length > MOST_NAMED + 1 ? MOST_NAMED : names.length);
  const rest = names.length - named.length;
  const whom = rest > 0 ? `${named.join(", ")} and ${rest} more` : named.join(", ");
  return { whose: whom === "" ? plugin : `${whom} ${plugin}`, what, hint };
}

function nameOf({ pid, tid }: Problem): string {
  if (pid === undefined) return "";
  return tid === undefined || tid === pid ? `${pid}` : `${pid}/${tid}`;
}

const key = (texts: readonly (string | undefined)[]): string => JSON.stringify(texts);

/** In the order in which the first of each group comes. */
function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Item[][] {
  return [...Map.groupBy(items, keyOf).values()];
}
