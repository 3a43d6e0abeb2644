// SPDX-License-Identifier: MIT
/**
 * `deno task vm -- COMMAND [ARGUMENT...]`: runs a command in a VM with a kernel of ours.
 *
 *     deno task vm -- [--kernel plain|series|no-cr] [--timeout SECONDS] [--memory MIB] [--share DIR] COMMAND ...
 *
 * The repository is at the same path as outside and is the working directory; what is written there is
 * forgotten. `--share` mounts a directory of the host as /share, where things persist. The command's
 * output and exit status come out as they are; 124 means that the time was up.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { StasisError } from "../base/errors.ts";
import { type Variant, VARIANTS } from "./build/variants.ts";
import { ensureKernels } from "./build/kernel.ts";
import { ensurePackages, VM_PACKAGES } from "./packages.ts";
import { Progress } from "./progress.ts";
import { TIMED_OUT, type VmOptions } from "./vm/options.ts";
import { runInVm } from "./vm/run.ts";

const USAGE =
  `usage: deno task vm -- [--kernel plain|series|no-cr] [--timeout SECONDS] [--memory MIB] [--share DIR] COMMAND ...`;

/** What the command line asks for. */
export interface VmCommandLine extends Pick<VmOptions, "argv" | "timeout" | "memory" | "share"> {
  readonly kernel: Variant;
}

/**
 * Reads the command line: options come before the command, everything from the command on belongs to it.
 *
 * @throws StasisError `usage`
 */
export function parseCommandLine(args: readonly string[]): VmCommandLine {
  const rest = args[0] === "--" ? args.slice(1) : args;
  const options: Record<string, string> = {};
  let index = 0;
  while (index < rest.length && rest[index]!.startsWith("--") && rest[index] !== "--") {
    const { values, tokens } = parseOne(rest.slice(index, index + 2));
    Object.assign(options, values);
    index += tokens;
  }
  if (rest[index] === "--") index++;
  const argv = rest.slice(index);
  const kernel = (options.kernel ?? "series") as Variant;
  if (argv.length === 0) throw new StasisError("usage", "no command", { hint: USAGE });
  if (!VARIANTS.includes(kernel)) {
    throw new StasisError("usage", `there is no kernel ${kernel}`, { hint: USAGE });
  }
  return {
    kernel,
    argv,
    timeout: positive(options, "timeout"),
    memory: positive(options, "memory"),
    share: options.share,
  };
}

function parseOne(words: string[]): { values: Record<string, string>; tokens: number } {
  const string = { type: "string" } as const;
  const definition = { kernel: string, timeout: string, memory: string, share: string };
  const count = words[0]!.includes("=") ? 1 : 2;
  try {
    const { values } = parseArgs({ args: words.slice(0, count), options: definition });
    return { values: { ...values }, tokens: count };
  } catch (error) {
    throw new StasisError("usage", (error as Error).message, { hint: USAGE });
  }
}

function positive(options: Record<string, string>, name: string): number | undefined {
  const text = options[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new StasisError("usage", `--${name} wants a positive number, not ${text}`, { hint: USAGE });
}

if (import.meta.main) {
  try {
    const { kernel: variant, ...options } = parseCommandLine(Deno.args);
    const progress = new Progress();
    await ensurePackages(VM_PACKAGES, (text) => progress.say(text));
    const kernel = (await ensureKernels(progress, [variant])).get(variant)!;
    const { status } = await runInVm({ ...options, kernel, output: "inherit" });
    if (status === TIMED_OUT) console.error("the time is up");
    Deno.exit(status);
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    console.error(`error: ${error.message}${error.hint ? `\nhint: ${error.hint}` : ""}`);
    Deno.exit(error.exitStatus);
  }
}
