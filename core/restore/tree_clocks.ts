/**
 * The clocks that a restored tree will have. CLOCK_MONOTONIC and CLOCK_BOOTTIME count from the start of the machine: on
 * one that was started since the checkpoint, points in time that a program has noted may be days away. A time namespace
 * (time_namespaces(7)) has such clocks go on from where they were.
 *
 * @module
 */
import type { clocks_entry } from "../../images/gen/time_pb.ts";
import { CLOCKS } from "../../images/kinds/time.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { StasisError } from "../../base/errors.ts";
import { CAP } from "../linux/capability.ts";
import { clockLead, clockNow, type Clocks, isWallClock, readClocks } from "../linux/clocks.ts";
import { type ClockOffsets, readClockOffsets, readNamespaces } from "../linux/procfs/mod.ts";
import type { TimeNamespaceMode } from "../contract/session.ts";

/** What the clocks of this process say, and where they stand. */
export interface OwnClocks {
  readonly now: Clocks;
  readonly offsets: ClockOffsets;
  /** Why no time namespace can be made; undefined if one can. */
  readonly obstacle?: string;
}

/** The clocks of a restored tree. */
export class TreeClocks {
  /** The offsets of the time namespace that is made for it; undefined where it lives with the clocks of this process. */
  readonly namespace: ClockOffsets | undefined;
  readonly #before: clocks_entry | undefined;
  readonly #own: OwnClocks;

  /**
   * Chooses them. With `auto` the tree gets a time namespace where a clock would be behind what it was, or where it had
   * one and the machine has not been started anew; with `always` its clocks go on as if no time had passed.
   *
   * @param before what its clocks said at the checkpoint, if the images tell
   * @throws {StasisError} `unsupported` where `always` cannot be had
   */
  constructor(
    before: clocks_entry | undefined,
    own: OwnClocks,
    mode: TimeNamespaceMode = "auto",
  ) {
    this.#before = before;
    this.#own = own;
    if (mode === "always") this.namespace = continued(present(before, own), own);
    else if (mode === "auto" && own.obstacle === undefined) this.namespace = needed(before, own);
  }

  /** Whether a point in time that a clock had at the checkpoint is still the same one. */
  goesOn(clock: number): boolean {
    if (isWallClock(clock) || this.namespace !== undefined) return true;
    return this.#before !== undefined && isCounting(this.#before, this.#own);
  }

  /** What a clock of the tree says now, in nanoseconds. @throws {StasisError} `bad-image` if there is none such */
  now(clock: number): bigint {
    const { offsets } = this.#own;
    return clockNow(clock) + clockLead(clock, this.namespace ?? offsets, offsets);
  }

  /** What the tree will find strange about its clocks, for people; undefined if that is nothing. */
  get note(): string | undefined {
    const before = this.#before;
    if (before === undefined || this.namespace !== undefined || isCounting(before, this.#own)) {
      return undefined;
    }
    const { now, obstacle } = this.#own;
    const moved = now.monotonic - before.monotonic;
    const seconds = (moved < 0n ? -moved : moved) / 1_000_000_000n;
    const why = moved < 0n && obstacle !== undefined
      ? `; a time namespace would mend that, but ${obstacle}`
      : "";
    return `CLOCK_MONOTONIC has begun anew and is ${seconds} s ${
      moved < 0n ? "behind" : "ahead of"
    } what the tree has seen: points in time that it has noted are off by that (docs/time.md)${why}`;
  }
}

/**
 * Chooses the clocks of the tree that these images are of.
 *
 * @param capabilities what this process may do
 * @throws {StasisError} `bad-image` of clocks that no tree has; as the constructor of {@link TreeClocks}
 */
export function readTreeClocks(
  images: ImageDirectory,
  capabilities: bigint,
  mode?: TimeNamespaceMode,
): TreeClocks {
  const before = images.has(CLOCKS, null) ? images.read(CLOCKS, null) : undefined;
  const own = {
    now: readClocks(),
    offsets: readClockOffsets(Deno.pid),
    obstacle: obstacleOf(capabilities),
  };
  if (before !== undefined) checkClocks(before, own, images.pathOf(CLOCKS, null));
  return new TreeClocks(before, own, mode);
}

/**
 * The kernel takes an offset where the clock is from 0 to half of KTIME_SEC_MAX by it (proc_timens_set_offset() of
 * kernel/time/namespace.c): 146 years. A day less here, since the clock goes on until the offset is written.
 */
const LONGEST = (((1n << 63n) - 1n) / 1_000_000_000n / 2n - 86_400n) * 1_000_000_000n;

/**
 * Checks what the images say of clocks: a restore may write it, or what follows from it, when much has been built.
 *
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image`
 */
export function checkClocks(before: clocks_entry, { now, offsets }: OwnClocks, file: string): void {
  for (const clock of ["monotonic", "boottime"] as const) {
    const readings = [before[clock]];
    // On this boot a tree in a time namespace gets the same offset again, to what the machine's clock says by now.
    if (before.offsets !== undefined && before.bootId === now.bootId) {
      readings.push(now[clock] - offsets[clock] + before.offsets[clock]);
    }
    for (const reading of readings) {
      if (reading >= 0n && reading <= LONGEST) continue;
      const name = clock === "monotonic" ? "CLOCK_MONOTONIC" : "CLOCK_BOOTTIME";
      const what = `has ${name} at ${reading} ns, where no clock can be`;
      throw new StasisError("bad-image", `${file} ${what}`);
    }
  }
}

function obstacleOf(capabilities: bigint): string | undefined {
  if (readNamespaces(Deno.pid).time === undefined) return "this kernel has none (CONFIG_TIME_NS)";
  const needed = CAP.SYS_ADMIN | CAP.SYS_TIME;
  return (capabilities & needed) === needed
    ? undefined
    : "that takes CAP_SYS_ADMIN and CAP_SYS_TIME";
}

function present(before: clocks_entry | undefined, { obstacle }: OwnClocks): clocks_entry {
  if (before === undefined) {
    throw new StasisError(
      "unsupported",
      "the images do not tell what the clocks of the tree said",
      {
        hint: "restore without --time-namespace=always",
      },
    );
  }
  if (obstacle === undefined) return before;
  throw new StasisError("unsupported", `no time namespace can be made: ${obstacle}`, {
    hint: "restore without --time-namespace=always",
  });
}

/** The offsets with which clocks go on from where they were at the checkpoint. */
function continued(before: clocks_entry, { now, offsets }: OwnClocks): ClockOffsets {
  return {
    monotonic: before.monotonic - now.monotonic + offsets.monotonic,
    boottime: before.boottime - now.boottime + offsets.boottime,
  };
}

/** The offsets of the time namespace that a tree cannot do without, if it needs one. */
function needed(before: clocks_entry | undefined, own: OwnClocks): ClockOffsets | undefined {
  if (before === undefined || isCounting(before, own)) return undefined;
  if (before.offsets !== undefined && before.bootId === own.now.bootId) {
    const { monotonic, boottime } = before.offsets;
    return { monotonic, boottime };
  }
  return isBehind(before, own) ? continued(before, own) : undefined;
}

/** Whether the clocks of this process count on from where those of the tree were. */
function isCounting(before: clocks_entry, own: OwnClocks): boolean {
  if (before.bootId !== own.now.bootId) return false;
  const { monotonic, boottime } = before.offsets ?? own.offsets;
  return monotonic === own.offsets.monotonic && boottime === own.offsets.boottime &&
    !isBehind(before, own);
}

function isBehind(before: clocks_entry, { now }: OwnClocks): boolean {
  return now.monotonic < before.monotonic || now.boottime < before.boottime;
}
