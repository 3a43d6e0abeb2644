/**
 * What rounds in turns say: medians, how many times one tool takes as long as the other, and how far the rounds
 * lie apart. Pure.
 *
 * @module
 */

import type { Round } from "./round.ts";

/** The columns of the table. */
export const COLUMNS = ["frozen", "running", "checkpoint", "restore"] as const;
/** A column. */
export type Column = typeof COLUMNS[number];

/** What each column is of a round, in milliseconds. */
export const READ: Readonly<Record<Column, (round: Round) => number>> = {
  frozen: (round) => round.frozenMs,
  running: (round) => round.leaveRunning.wallMs,
  checkpoint: (round) => round.checkpoint.wallMs,
  restore: (round) => round.restore.wallMs,
};

/** The times of one tool in one column, in milliseconds. */
export interface Summary {
  readonly median: number;
  readonly fastest: number;
  readonly slowest: number;
}

/** One number of the table. */
export interface Cell {
  readonly stasis: Summary;
  /** Absent where there was no CRIU. */
  readonly criu?: Summary;
  /** How many times CRIU's median this one is. */
  readonly ratio?: number;
}

/** One row. */
export type Row =
  & { readonly name: string; readonly title: string }
  & {
    readonly [column in Column]?: Cell;
  };

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Some times in short. */
export function summarize(values: readonly number[]): Summary {
  return {
    median: median(values),
    fastest: Math.min(...values),
    slowest: Math.max(...values),
  };
}

/** Compares the times of the tools in one column. @param criu empty where there was none */
export function compare(stasis: readonly number[], criu: readonly number[]): Cell {
  const own = summarize(stasis);
  if (criu.length === 0) return { stasis: own };
  const other = summarize(criu);
  return { stasis: own, criu: other, ratio: own.median / other.median };
}

/** Rounds whose slowest takes more than this many times as long as the fastest say little. */
const LARGE_SPREAD = 1.5;

function isRestless({ fastest, slowest }: Summary): boolean {
  return slowest > fastest * LARGE_SPREAD;
}

/** A time for people. @param value milliseconds */
export function formatTime(value: number): string {
  return value < 9.95 ? `${value.toFixed(1)} ms` : `${value.toFixed(0)} ms`;
}

/** The rows as a table in Markdown. */
export function markdown(rows: readonly Row[]): string[] {
  const cell = (one: Cell | undefined) => {
    if (one === undefined) return "";
    const { stasis, criu, ratio } = one;
    if (criu === undefined || ratio === undefined) return formatTime(stasis.median);
    const mark = isRestless(stasis) || isRestless(criu) ? "~" : "";
    return `${formatTime(stasis.median)} / ${formatTime(criu.median)} = ${mark}${ratio.toFixed(2)}`;
  };
  return markdownTable(
    ["", "stands still (`-R`)", "all of `-R`", "checkpoint", "restore"],
    rows.map((row) => [row.title, ...COLUMNS.map((column) => cell(row[column]))]),
  );
}

/** A table in Markdown as `deno fmt` writes it. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...rows].map((row) => row[column]!.length))
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)];
}

/** How far the rounds lie apart, a sentence, and where they lie too far apart another one. */
export function spreadNotes(rows: readonly Row[]): string[] {
  const found: { readonly what: string; readonly spread: number }[] = [];
  for (const row of rows) {
    for (const column of COLUMNS) {
      for (const tool of ["stasis", "criu"] as const) {
        const summary = row[column]?.[tool];
        if (summary === undefined) continue;
        const { fastest, slowest } = summary;
        found.push({ what: `${row.title}, ${column}, ${tool}`, spread: slowest / fastest });
      }
    }
  }
  if (found.length === 0) return [];
  const worst = found.reduce((a, b) => b.spread > a.spread ? b : a);
  const usual = median(found.map(({ spread }) => spread)).toFixed(2);
  const notes = [
    `The slowest round took ${usual} times as long as the fastest (median of all), ` +
    `at worst ${worst.spread.toFixed(2)} times (${worst.what}).`,
  ];
  const restless = found.filter(({ spread }) => spread > LARGE_SPREAD).length;
  if (restless > 0) {
    notes.push(
      `WARNING: ${restless} of ${found.length} series lie apart by more than ${LARGE_SPREAD} times ` +
        `(their ratios are marked with ~): the machine was not quiet.`,
    );
  }
  return notes;
}
