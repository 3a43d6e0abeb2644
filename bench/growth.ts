/**
 * Growth tables: what is linear keeps its time per unit, so its ratio to the smaller size stays at 1.
 *
 * @module
 */

import { table } from "../cli/ui/table.ts";
import type { Times } from "./measure.ts";

/** What was measured at one size. */
export interface Point {
  readonly size: number;
  readonly times: Times;
}

/** A time in milliseconds, three digits. */
function ms(value: number): string {
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/**
 * The lines of a table.
 *
 * @param unit what grows
 * @param points ascending by size
 */
export function growthTable(unit: string, points: readonly Point[]): string[] {
  const rows = points.map(({ size, times }, index) => {
    const before = points[index - 1];
    const ratio = (time: (times: Times) => number) =>
      before === undefined
        ? ""
        : `x${((time(times) / size) / (time(before.times) / before.size)).toFixed(2)}`;
    const each = (value: number) => (value * 1000 / size).toFixed(1);
    return [
      String(size),
      ms(times.checkpoint),
      each(times.checkpoint),
      ratio((one) => one.checkpoint),
      ms(times.frozen),
      ratio((one) => one.frozen),
      ms(times.restore),
      each(times.restore),
      ratio((one) => one.restore),
    ];
  });
  const each = `µs/${unit}`;
  const head = [unit, "checkpoint ms", each, "growth", "frozen ms", "growth", "restore ms"];
  return table([[...head, each, "growth"], ...rows], Array(9).fill("right"));
}
