/**
 * Lists of address ranges. Pure.
 *
 * @module
 */
import type { AddressRange } from "../linux/procfs/mod.ts";

/** What of some ranges is in others as well. Both are ascending, and overlap nowhere among themselves. */
export function cutRanges(
  ranges: readonly AddressRange[],
  others: readonly AddressRange[],
): AddressRange[] {
  const both: AddressRange[] = [];
  let next = 0;
  for (const { start, end } of ranges) {
    while (next < others.length && (others[next] as AddressRange).end <= start) next++;
    for (let at = next; at < others.length; at++) {
      const other = others[at] as AddressRange;
      if (other.start >= end) break;
      both.push({
        start: other.start > start ? other.start : start,
        end: other.end < end ? other.end : end,
      });
    }
  }
  return both;
}

/** What is in one of two lists, or in both: ascending, and in as few ranges as can be. */
export function joinRanges(
  some: readonly AddressRange[],
  others: readonly AddressRange[],
): AddressRange[] {
  const all = [...some, ...others].sort((a, b) => a.start < b.start ? -1 : 1);
  const joined: AddressRange[] = [];
  for (const { start, end } of all) {
    const last = joined.at(-1);
    if (last === undefined || last.end < start) joined.push({ start, end });
    else if (last.end < end) joined[joined.length - 1] = { start: last.start, end };
  }
  return joined;
}

/** What of a range is in none of others. @param others ascending */
export function withoutRanges(
  range: AddressRange,
  others: readonly AddressRange[],
): AddressRange[] {
  const left: AddressRange[] = [];
  let at = range.start;
  for (const { start, end } of others) {
    if (end <= at) continue;
    if (start >= range.end) break;
    if (start > at) left.push({ start: at, end: start });
    at = end;
    if (at >= range.end) return left;
  }
  left.push({ start: at, end: range.end });
  return left;
}
