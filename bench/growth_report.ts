/**
 * What is printed of growth. Pure.
 *
 * @module
 */

import { formatTime, markdownTable } from "./comparison.ts";
import type { GrowthResult } from "./growth.ts";
import { TITLES } from "./growth_verdict.ts";

/** The rows of one kind: processor time at both sizes, how it grows, and the tool's memory. */
function rows({ kind, size, growths }: GrowthResult): string[][] {
  return growths.map((growth, index) => [
    index === 0 ? `${size} ${kind.title}` : "",
    TITLES[growth.command],
    formatTime(growth.tenthMs),
    formatTime(growth.wholeMs),
    growth.ratio.toFixed(2),
    growth.netRatio?.toFixed(2) ?? "",
    `${Math.round(growth.peakBytes / 2 ** 20)} MiB`,
  ]);
}

/** All kinds as a table in Markdown. */
export function growthTable(results: readonly GrowthResult[]): string[] {
  return markdownTable(
    [
      "what",
      "command",
      "a tenth of it",
      "all of it",
      "growth",
      "without the fixed part",
      "memory of the tool",
    ],
    results.flatMap(rows),
  );
}

/** What the machine could not have, and what is wrong, a sentence each. */
export function growthNotes(results: readonly GrowthResult[]): string[] {
  const short = results.filter(({ reason }) => reason !== undefined).map(({ kind, size, reason }) =>
    `NOTE: ${size === 0 ? "none" : `only ${size}`} ${kind.title}: ${reason} allows no more here.`
  );
  return [
    ...short,
    ...results.flatMap(({ problems }) => problems.map((text) => `TOO MUCH: ${text}.`)),
  ];
}
