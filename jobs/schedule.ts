/**
 * When a job is saved next. Pure: times are milliseconds of any one clock.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";

/** How a save has gone. */
export interface Attempt {
  /** When it began. */
  readonly begun: number;
  /** When it had ended, well or not. */
  readonly ended: number;
}

/**
 * When the next save begins: one period after the last one has begun, whether that has worked or not; but a job runs at
 * least as long as it was being saved, where that takes longer than a period.
 *
 * @param every the period, in milliseconds
 */
export function nextSave(every: number, { begun, ended }: Attempt): number {
  return Math.max(begun + every, ended + (ended - begun));
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** What a timer of JavaScript takes at the most, in milliseconds: 24 days. */
const LONGEST = 0x7fff_ffff;

/**
 * Reads a length of time, as `10m`, `90s`, `1.5h` or `250ms`; a number alone is seconds.
 *
 * @returns milliseconds
 * @throws {StasisError} `usage`
 */
export function parseDuration(text: string): number {
  const [, number, unit = "s"] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS[unit] as number);
  if (ms <= LONGEST) return ms;
  throw new StasisError("usage", `"${text}" is no length of time`, {
    hint: "write 10m, 90s, 1.5h or 250ms, and at the most 24 days",
  });
}
