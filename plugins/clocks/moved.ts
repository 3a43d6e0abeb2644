/**
 * Whether the clocks that count from the machine's start have begun anew since a checkpoint, for people.
 *
 * @module
 */
import { CLOCK, clockGoesOn, type Clocks } from "../../core/linux/clocks.ts";

/** What a restored program will find strange about its clocks; undefined if that is nothing. */
export function clockNote(before: Clocks, now: Clocks): string | undefined {
  if (clockGoesOn(CLOCK.MONOTONIC, before, now)) return undefined;
  const moved = now.monotonic - before.monotonic;
  const seconds = (moved < 0n ? -moved : moved) / 1_000_000_000n;
  return `CLOCK_MONOTONIC has begun anew and is ${seconds} s ${
    moved < 0n ? "behind" : "ahead of"
  } what the tree has seen: points in time that it has noted are off by that (docs/time.md)`;
}
