/**
 * Whether a tool's time grows with the size and no faster, and its memory not beyond what it may have. Pure.
 *
 * The time is the processor's, of the tool and of what it makes the tree do: others on the machine do not count.
 * The smallest of several measurements is the one that others have disturbed least.
 *
 * @module
 */

import type { Cost, Round } from "./round.ts";

/** What is measured of a round. */
export const COMMANDS = ["leaveRunning", "checkpoint", "restore"] as const;
/** A command. */
export type Command = typeof COMMANDS[number];

/** How the commands are shown. */
export const TITLES: Readonly<Record<Command, string>> = {
  leaveRunning: "checkpoint -R",
  checkpoint: "checkpoint",
  restore: "restore",
};

/** The time for each thing at the largest size may be this many times that at a tenth of it. */
export const MOST_GROWTH = 1.5;
/** The tool's own memory, in bytes. */
export const MOST_MEMORY = 200 * 2 ** 20;
/** Differences below are noise, whatever their ratio, in milliseconds. */
const NOISE_MS = 100;

/** How one command grows from a tenth of a size to the size. */
export interface Growth {
  readonly command: Command;
  /** Processor time in milliseconds, of the tool and of the tree. */
  readonly tenthMs: number;
  readonly wholeMs: number;
  /** The time for each thing at the size, as a multiple of that at the tenth. */
  readonly ratio: number;
  /** The same without what an empty program takes; absent where that leaves only noise of the tenth. */
  readonly netRatio?: number;
  /** The tool's largest size in memory, in bytes. */
  readonly peakBytes: number;
}

/** The processor time of a command, in milliseconds. */
function time({ cpuMs, treeCpuMs }: Cost): number {
  return cpuMs + treeCpuMs;
}

/** The smallest time of some rounds. */
function least(rounds: readonly Round[], command: Command): number {
  return Math.min(...rounds.map((round) => time(round[command])));
}

/**
 * How the commands grow.
 *
 * @param empty rounds of a program that has none of the things
 * @param factor how many times the tenth the whole is
 */
export function growthOf(
  empty: readonly Round[],
  tenth: readonly Round[],
  whole: readonly Round[],
  factor: number,
): Growth[] {
  return COMMANDS.map((command) => {
    const [emptyMs, tenthMs, wholeMs] = [empty, tenth, whole].map((rounds) =>
      least(rounds, command)
    ) as [number, number, number];
    const net = tenthMs - emptyMs;
    return {
      command,
      tenthMs,
      wholeMs,
      ratio: wholeMs / tenthMs / factor,
      netRatio: net < NOISE_MS ? undefined : (wholeMs - emptyMs) / net / factor,
      peakBytes: Math.min(...whole.map((round) => round[command].peakBytes)),
    };
  });
}

/** What is wrong with a growth, a sentence each. */
export function problemsOf(
  title: string,
  growths: readonly Growth[],
  mostMemory = MOST_MEMORY,
): string[] {
  const problems: string[] = [];
  for (const { command, ratio, netRatio, peakBytes } of growths) {
    const what = `${title}, ${TITLES[command]}`;
    const worst = Math.max(ratio, netRatio ?? 0);
    if (worst > MOST_GROWTH) {
      problems.push(`${what}: ${worst.toFixed(2)} times the time for each at ten times as many`);
    }
    if (peakBytes > mostMemory) {
      problems.push(`${what}: ${Math.round(peakBytes / 2 ** 20)} MiB of memory for itself`);
    }
  }
  return problems;
}
