/**
 * The command line of `deno task bench`. Pure.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { KINDS } from "./growth.ts";
import { ROW_NAMES } from "./table.ts";

/** What is to be measured. */
export interface BenchOptions {
  /** Rows of the table, kinds of things that grow, or checkpoints one after the other. */
  readonly what: "table" | "growth" | "floors" | "chain";
  /** Their names. */
  readonly names: readonly string[];
  readonly rounds: number;
  readonly smallest: boolean;
  readonly json: boolean;
  /** Whether CRIU is left out, although there is one. */
  readonly alone: boolean;
  /** How much memory the program has that is saved again and again, in MiB, where that is said. */
  readonly mib: number | undefined;
  /** Where images go: a directory in memory, if the disk is not to be measured. */
  readonly dir: string;
}

/** How it is used. */
export const USAGE = `usage: deno task bench [ROW...] [OPTION...]
       deno task bench floors [OPTION...]
       deno task bench chain [OPTION...]
       deno task bench growth [KIND...] [OPTION...]

Rows:    ${ROW_NAMES.join(" ")}
Kinds:   ${KINDS.map(({ name }) => name).join(" ")}
Options: --rounds N   medians of so many (5; growth: at most so many attempts, 3)
         --mib N      how much memory the program of a chain has (1024)
         --smallest   the smallest sizes: whether everything works, not how long it takes
         --alone      without CRIU, although there is one
         --json       results as JSON
         --dir DIR    where images go (/dev/shm)
         --help       this text`;

/**
 * Reads the arguments.
 *
 * @returns undefined where it is asked how it is used
 * @throws {RangeError} with a sentence where they make no sense
 */
export function parseCommandLine(args: readonly string[]): BenchOptions | undefined {
  const { values, positionals } = parseOptions(args);
  if (values.help) return undefined;
  const [first, ...others] = positionals;
  const what = first === "growth" || first === "floors" || first === "chain" ? first : "table";
  const known: readonly string[] = {
    table: ROW_NAMES,
    growth: KINDS.map(({ name }) => name),
    floors: [],
    chain: [],
  }[what];
  const names = what === "table" ? positionals : others;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new RangeError(`there is no "${unknown}"`);
  const rounds = Number(values.rounds ?? (what === "growth" ? 3 : values.smallest ? 1 : 5));
  if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError("--rounds: at least 1");
  const mib = values.mib === undefined ? undefined : Number(values.mib);
  if (mib !== undefined && !(Number.isInteger(mib) && mib >= 1)) {
    throw new RangeError("--mib: at least 1");
  }
  return {
    what,
    mib,
    names: names.length > 0 ? names : known,
    rounds,
    smallest: values.smallest,
    json: values.json,
    alone: values.alone,
    dir: values.dir,
  };
}

function parseOptions(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        rounds: { type: "string" },
        mib: { type: "string" },
        smallest: { type: "boolean", default: false },
        alone: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        dir: { type: "string", default: "/dev/shm" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    if (error instanceof TypeError) throw new RangeError(error.message);
    throw error;
  }
}
