/**
 * The commands, in the order of the help.
 *
 * @module
 */
import { check } from "./check.ts";
import { checkpoint } from "./checkpoint.ts";
import type { Command } from "./command.ts";
import { completions } from "./completions.ts";
import { diff } from "./diff.ts";
import { inspect } from "./inspect.ts";
import { list } from "./list.ts";
import { plugin } from "./plugin.ts";
import { prune } from "./prune.ts";
import { ps } from "./ps.ts";
import { restore } from "./restore.ts";
import { runJobCommand } from "./run_job.ts";
import { script } from "./script.ts";
import { watch } from "./watch.ts";

/** All of them. */
export const COMMANDS: readonly Command[] = [
  checkpoint,
  restore,
  check,
  inspect,
  diff,
  ps,
  runJobCommand,
  watch,
  list,
  prune,
  script,
  plugin,
  completions(() => COMMANDS),
];
