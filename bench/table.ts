/**
 * The table of the README: every workload in turns with every tool, in one run.
 *
 * @module
 */

import { checkpoint } from "../mod.ts";
import type { Subject } from "../tests/harness/subject.ts";
import { COLUMNS, compare, READ, type Row } from "./comparison.ts";
import { measureRound, type Round } from "./round.ts";
import type { Tool } from "./tools.ts";
import { sizeOf, startMany, type Workload, WORKLOADS } from "./workloads.ts";

/** What a run is to do. */
export interface TableOptions {
  readonly stasis: Tool;
  readonly criu?: Tool;
  readonly rounds: number;
  /** Whether to take the smallest sizes. */
  readonly smallest: boolean;
  /** A directory for images and the programs' files. */
  readonly home: string;
  /** Is told what is being measured. */
  progress(text: string): void;
}

/** The name of the row of a process that makes one checkpoint after the other. */
export const WARM = "warm";

/** The names of all rows. */
export const ROW_NAMES: readonly string[] = [
  ...WORKLOADS.flatMap(({ name }) => name === "small" ? [name, WARM] : [name]),
];

/** Measures the rows of these names. */
export async function measureRows(
  names: readonly string[],
  options: TableOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const workload of WORKLOADS) {
    const isSmall = workload.name === "small";
    const isWanted = names.includes(workload.name);
    if (!isWanted && !(isSmall && names.includes(WARM))) continue;
    const rounds = await measureInTurns(workload, options);
    const cell = (column: typeof COLUMNS[number]) =>
      compare(rounds.stasis.map(READ[column]), rounds.criu.map(READ[column]));
    const { name } = workload;
    const title = workload.title(sizeOf(workload, options.smallest));
    if (isWanted) {
      const cells = Object.fromEntries(COLUMNS.map((column) => [column, cell(column)]));
      rows.push({ name, title, ...cells });
    }
    if (isSmall && names.includes(WARM)) {
      options.progress("small process, again and again");
      const warm = await measureWarm(workload, options);
      const title = "the same, not the first of its process";
      rows.push({ name: WARM, title, frozen: compare(warm, rounds.criu.map(READ.frozen)) });
    }
  }
  return rows;
}

/** Rounds by tool, each on a program of its own. Who is first changes, so that neither has the warmer machine. */
async function measureInTurns(
  workload: Workload,
  options: TableOptions,
): Promise<{ readonly stasis: Round[]; readonly criu: Round[] }> {
  const { stasis, criu, rounds, home } = options;
  const tools = criu === undefined ? [stasis] : [criu, stasis];
  const found = { stasis: [] as Round[], criu: [] as Round[] };
  for (let round = 0; round < rounds; round++) {
    for (const tool of round % 2 === 0 ? tools : tools.toReversed()) {
      options.progress(`${workload.name}, round ${round + 1} of ${rounds}, ${tool.name}`);
      await withProgram(workload, options, async (subject) => {
        found[tool.name].push(await measureRound(tool, subject, home));
      });
    }
  }
  return found;
}

/** Checkpoints by this very process, after one that does not count: how long the tree stands still, in milliseconds. */
async function measureWarm(workload: Workload, options: TableOptions): Promise<number[]> {
  const found: number[] = [];
  await withProgram(workload, options, async (subject) => {
    for (let round = 0; round <= options.rounds; round++) {
      const directory = `${options.home}/warm`;
      const { frozenMs } = await checkpoint(subject.pid, { directory, leaveRunning: true });
      await Deno.remove(directory, { recursive: true });
      found.push(frozenMs);
    }
    await subject.expectPass();
  });
  return found.slice(1);
}

async function withProgram(
  workload: Workload,
  { home, smallest }: TableOptions,
  use: (subject: Subject) => Promise<void>,
): Promise<void> {
  const cwd = `${home}/files`;
  await Deno.mkdir(cwd);
  try {
    const size = sizeOf(workload, smallest);
    const { kind, isTree } = workload;
    await using subject = await startMany(kind, size, isTree ? size : 1, cwd);
    await use(subject);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}
