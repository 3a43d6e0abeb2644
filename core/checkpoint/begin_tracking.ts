/**
 * From when on writes to a range are told.
 *
 * @module
 */
import { type AddressRange, scanMarked, scanWritten } from "../linux/procfs/mod.ts";
import type { OpenPagemap } from "../linux/open_pagemap.ts";
import type { WriteTracker } from "../linux/userfaultfd.ts";

/**
 * Registers a range with a userfaultfd, and protects what is in it.
 *
 * @returns whether that is done
 */
export function beginTracking(
  tracker: WriteTracker,
  pagemap: OpenPagemap,
  range: AddressRange,
): boolean {
  return tracker.register(range) && protectAnew(tracker, pagemap, range);
}

/** Protects what is in a range that is registered. @returns whether that is done */
export function protectAnew(
  tracker: WriteTracker,
  pagemap: OpenPagemap,
  range: AddressRange,
): boolean {
  // Pages that were moved here may have a mark that protects nothing. Looking for it takes a thirtieth of the time.
  const marked = scanMarked(pagemap, range);
  if (marked === undefined || !marked.every((one) => tracker.unprotect(one))) return false;
  return scanWritten(pagemap, range, "protect") !== undefined;
}
