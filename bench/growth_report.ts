/**
 * What is printed of growth. Pure.
 *
 * @module
 */

import { formatTime } from "./comparison.ts";
import type { GrowthResult } from "./growth.ts";
import { TITLES } from "./growth_verdict.ts";

/** The columns, and how wide they are: a row is printed when it is known, which may be long before the next. */
const COLUMNS: readonly (readonly [string, number])[] = [
  ["what", 39],
  ["command", 13],
  ["a tenth", 9],
  ["all", 9],
  ["growth", 6],
  ["net", 5],
  ["tool", 8],
];

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell, column) => cell.padEnd(COLUMNS[column]![1])).join(" | ")} |`;
}

/** The head of the table in Markdown. */
export function growthHead(): string[] {
  return [
    line(COLUMNS.map(([title]) => title)),
    line(COLUMNS.map(([, width]) => "-".repeat(width))),
  ];
}

/**
 * The rows of one kind: processor time at a tenth of the size and at all of it; how many times the time for each thing
 * is that at the tenth, with and without what an empty program takes; the tool's memory.
 */
export function growthRows({ kind, size, growths }: GrowthResult): string[] {
  return growths.map((growth, index) =>
    line([
      index === 0 ? `${size} ${kind.title}` : "",
      TITLES[growth.command],
      formatTime(growth.tenthMs),
      formatTime(growth.wholeMs),
      growth.ratio.toFixed(2),
      growth.netRatio?.toFixed(2) ?? "",
      `${Math.round(growth.peakBytes / 2 ** 20)} MiB`,
    ])
  );
}

/** What the machine could not have, and what is wrong, a sentence each. */
export function growthNotes({ kind, size, reason, problems }: GrowthResult): string[] {
  const less = size === 0 ? "no" : `only ${size}`;
  return [
    ...reason === undefined ? [] : [`NOTE: ${less} ${kind.title}: ${reason} allows no more here.`],
    ...problems.map((text) => `TOO MUCH: ${text}`),
  ];
}
