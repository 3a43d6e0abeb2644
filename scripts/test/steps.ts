/**
 * The steps of the test run, and how each is made.
 *
 * @module
 */

import { type Count, countRun, parseSkips, type Run, SKIPS, sum } from "./count.ts";
import { chooseFiles, filesWithExamples, testFiles, type TestStep } from "./files.ts";
import { parseJunit } from "./junit.ts";
import type { Output } from "./output.ts";
import { Surroundings } from "./leftovers.ts";

/** Every step, in the order of a whole run. */
export const STEPS = ["fmt", "lint", "types", "unit", "live", "kernel", "vm"] as const;
/** A step. */
export type Step = typeof STEPS[number];

/** What the steps are, for headings. */
export const TITLES: Readonly<Record<Step, string>> = {
  fmt: "format",
  lint: "lint",
  types: "types",
  unit: "unit tests",
  live: "live tests",
  kernel: "kernels",
  vm: "VM tests",
};

/** The commands of the steps that pass or fail as one. */
const COMMANDS: Readonly<Record<"fmt" | "lint" | "types" | "kernel", readonly string[]>> = {
  fmt: ["fmt", "--check"],
  lint: ["lint"],
  types: ["check", "."],
  kernel: ["run", "--allow-all", "--no-check", "kernel/build.ts"],
};

/** What takes longer than this hangs, and is killed. For tests on live processes it is the time of one file. */
const TIME_LIMIT_MS: Readonly<Record<Step, number>> = {
  fmt: 5 * 60_000,
  lint: 5 * 60_000,
  types: 10 * 60_000,
  unit: 10 * 60_000,
  live: 20 * 60_000,
  kernel: 40 * 60_000,
  vm: 40 * 60_000,
};

/** For how long a program that has ended may still be heard. */
const LAST_WORDS_MS = 1_000;

/** How many minutes a file of tests may take, for those that are to try more than usual. */
const MINUTES = "STASIS_TEST_MINUTES";

function timeLimit(step: Step): number {
  const minutes = Number(Deno.env.get(MINUTES) ?? 0);
  return minutes > 0 ? minutes * 60_000 : TIME_LIMIT_MS[step];
}

/** What a step is made with. */
export interface StepOptions {
  /** The checkout, ending with a slash. */
  readonly root: string;
  /** What was said after the step's name: files and a filter. */
  readonly words: readonly string[];
  /** Takes what its programs print, as it comes. */
  readonly output: Output;
}

/**
 * Makes a step.
 *
 * @throws {RangeError} where the words make no sense
 */
export async function runStep(step: Step, options: StepOptions): Promise<Count> {
  const anybody = step !== "live" && step !== "kernel" && step !== "vm";
  if (!anybody && Deno.uid() !== 0) {
    return single([`${TITLES[step]} need root: run the command as root (with sudo, for example)`]);
  }
  if (step in COMMANDS) {
    const command = COMMANDS[step as keyof typeof COMMANDS];
    const end = await deno(options, command, {}, TIME_LIMIT_MS[step]);
    return single(end.success ? [] : [`deno ${command.join(" ")} ${trouble(end)}`]);
  }
  return await runTests(step as TestStep, options);
}

function single(failures: readonly string[]): Count {
  const failed = failures.length;
  return { passed: failed === 0 ? 1 : 0, failed, skipped: 0, failures, skips: [] };
}

async function runTests(step: TestStep, options: StepOptions): Promise<Count> {
  const { root, words } = options;
  const all = [...await testFiles(root, step), ...await filesWithExamples(root, step)];
  const { files, filter } = chooseFiles(all, words);
  // Each file by itself where processes are involved: if one hangs or crashes, the others still count, and what
  // is left behind has a name.
  const groups = step === "unit" ? [files] : files.map((file) => [file]);
  const counts: Count[] = [];
  for (const group of groups) {
    if (group.length > 0) counts.push(await runFiles(step, group, filter, options));
  }
  const total = sum(counts);
  if (filter !== undefined && total.passed + total.failed + total.skipped === 0) {
    throw new RangeError(`no test has "${filter}" in its name; a file is named by its path`);
  }
  return total;
}

/** One run of `deno test`. */
async function runFiles(
  step: TestStep,
  files: readonly string[],
  filter: string | undefined,
  options: StepOptions,
): Promise<Count> {
  await using surroundings = await Surroundings.create(options.root);
  const reports = await Deno.makeTempDir({ prefix: "stasis-report-" });
  try {
    const args = [
      "test",
      "--allow-all",
      "--no-check", // the step before has checked everything
      "--doc",
      "--sanitize-ops",
      "--sanitize-resources",
      `--junit-path=${reports}/junit.xml`,
    ];
    if (step === "unit") args.push("--parallel");
    if (filter !== undefined) args.push(`--filter=${filter}`);
    const env = { ...surroundings.env, [SKIPS]: `${reports}/skips` };
    const end = await deno(options, [...args, ...files], env, timeLimit(step));
    const count = countRun({
      cases: await cases(`${reports}/junit.xml`),
      skips: parseSkips(await textOf(`${reports}/skips`)),
      files: files.filter((file) => file.endsWith("_test.ts") || step === "vm"),
      filter,
      trouble: end.success ? undefined : `${trouble(end)}: ${files.join(" ")}`,
    });
    return withLeftovers(count, files, await surroundings.leftovers());
  } finally {
    await Deno.remove(reports, { recursive: true });
  }
}

/** Leaving something behind fails the step, whatever its tests say. */
function withLeftovers(
  count: Count,
  files: readonly string[],
  leftovers: readonly string[],
): Count {
  if (leftovers.length === 0) return count;
  return {
    ...count,
    failed: count.failed + 1,
    failures: [
      ...count.failures,
      `${files.length === 1 ? files[0] : "a test"} left behind: ${leftovers.join("; ")}`,
    ],
  };
}

function trouble(end: { readonly signal: Deno.Signal | null; readonly code: number }): string {
  return end.signal === null ? `exited with ${end.code}` : `was ended by ${end.signal}`;
}

async function cases(path: string): Promise<Run["cases"]> {
  const xml = await textOf(path);
  return xml === "" ? undefined : parseJunit(xml);
}

async function textOf(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

async function deno(
  { root, output }: StepOptions,
  args: readonly string[],
  env: Record<string, string>,
  limit: number,
): Promise<Deno.CommandStatus> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env,
    stdin: "null",
    stdout: output.stdio,
    stderr: output.stdio,
  })
    .spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), limit);
  try {
    const taken = output.take(child);
    const status = await child.status;
    // Who is left behind may hold the ends for ever.
    let lastWords: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise((resolve) => lastWords = setTimeout(resolve, LAST_WORDS_MS));
    await Promise.race([taken, over]).finally(() => clearTimeout(lastWords));
    return status;
  } finally {
    clearTimeout(timer);
  }
}
