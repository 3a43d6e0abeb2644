/**
 * The options that the commands for jobs have.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import type { AnyOptionValues, OptionDescriptions, OptionValues } from "./command.ts";
import { CHECKPOINT_OPTIONS } from "./checkpoint_options.ts";
import { aroundPlugins, loadPlugins, parseKeep, PLUGIN_OPTION } from "./options.ts";

/** The options. */
export const JOB_OPTIONS = {
  imagesDir: { flags: "-D, --images-dir <dir>", description: "the store of the job" },
  every: {
    flags: "--every <time>",
    description: "how often it is saved, as 90s, 10m, 1h (default: 10m)",
  },
  keep: {
    flags: "--keep <n>",
    description: "how many checkpoints are kept, at least (default: 2)",
  },
  grace: {
    flags: "--grace <time>",
    description: "how long the last save may take, after SIGTERM (default: 25s)",
  },
  plugin: PLUGIN_OPTION,
  json: { flags: "--json", description: "tell what happens as lines of JSON" },
} as const satisfies OptionDescriptions;

const { rollbackFiles: _, manageCgroups: __, cgroupRoot: ___, cgroupYard: ____, ...others } =
  CHECKPOINT_OPTIONS;

/** The options of a checkpoint that a job may want otherwise. */
export const SAVING_OPTIONS = others;

/** Reads {@link JOB_OPTIONS}. @param usage a command line that would be right @throws {StasisError} `usage` */
export async function readJobOptions(
  { imagesDir, every = "10m", keep = "2", grace = "25s", plugin = [], ...around }:
    & OptionValues<typeof JOB_OPTIONS>
    & Parameters<typeof aroundPlugins>[0],
  usage: string,
) {
  if (imagesDir === undefined) {
    throw new StasisError("usage", "no store was given", { hint: usage });
  }
  const { parseDuration } = await import("../jobs/schedule.ts");
  const period = parseDuration(every);
  if (period === 0) {
    throw new StasisError("usage", "--every 0 is no period", { hint: "write 10m, 90s or 1h" });
  }
  return {
    directory: imagesDir,
    every: period,
    keep: parseKeep(keep),
    grace: parseDuration(grace),
    plugins: [...await loadPlugins(plugin), ...await aroundPlugins(around)],
  };
}

/** The words of a command line that give some options the values that they have. */
export function wordsOf(options: OptionDescriptions, given: AnyOptionValues): string[] {
  return Object.entries(options).flatMap(([name, { flags }]) => {
    const value = given[name];
    const flag = /--[\w-]+/.exec(flags)?.[0] as string;
    if (value === undefined) return [];
    if (value === false) return [flag.replace(/^--/, "--no-")];
    return value === true ? [flag] : [value].flat().map((one) => `${flag}=${one}`);
  });
}
