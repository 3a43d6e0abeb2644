/**
 * Measures a checkpoint that kills and the restore from it.
 *
 * @module
 */

import type { Phase } from "../base/events.ts";
import { checkpoint, restore } from "../mod.ts";
import type { Subject } from "../tests/harness/subject.ts";

/** The times of one round, in milliseconds. */
export interface Times {
  readonly checkpoint: number;
  /** For how long the program stood still, of the checkpoint. */
  readonly frozen: number;
  /** How long the pages phase took, of the checkpoint. */
  readonly pages: number;
  readonly restore: number;
}

/**
 * One round: away and back again. The pids are free before the restore is timed.
 *
 * @param directory where the images go; deleted afterwards
 */
export async function measureRound(program: Subject, directory: string): Promise<Times> {
  try {
    const begins = new Map<Phase, number>();
    const saved = await checkpoint(program.pid, {
      directory,
      onEvent(event) {
        if (event.kind === "phase") begins.set(event.phase, performance.now());
      },
    });
    const pages = begins.get("commit")! - begins.get("pages")!;
    await program.waitGone();
    const begin = performance.now();
    const tree = await restore(directory);
    const restored = performance.now() - begin;
    tree.kill(9);
    await tree.wait();
    return { checkpoint: saved.totalMs, frozen: saved.frozenMs, pages, restore: restored };
  } finally {
    await Deno.remove(directory, { recursive: true }).catch(() => {});
  }
}

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The medians of some rounds. */
export function medianTimes(rounds: readonly Times[]): Times {
  return {
    checkpoint: median(rounds.map((round) => round.checkpoint)),
    frozen: median(rounds.map((round) => round.frozen)),
    pages: median(rounds.map((round) => round.pages)),
    restore: median(rounds.map((round) => round.restore)),
  };
}
