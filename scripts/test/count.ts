/**
 * What a run of `deno test` amounts to: its report, what the report leaves out, and the tests that found at run
 * time that this machine has nothing to test them on.
 *
 * @module
 */

import type { TestCase } from "./junit.ts";

/** The name of the environment variable with the file into which tests write what they skip, a JSON object a line. */
export const SKIPS = "STASIS_TEST_SKIPS";

/** What a test said when it found nothing to test here. */
export interface Skip {
  /** The test's name. */
  readonly name: string;
  /** Why, one sentence. */
  readonly reason: string;
}

/** The counts of a step, and what the summary tells of them. */
export interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What failed, a line each. */
  readonly failures: readonly string[];
  /** What was skipped and why, a line each. */
  readonly skips: readonly string[];
}

/** What a run of `deno test` was and said. */
export interface Run {
  /** The tests of its report, or undefined where there is none. */
  readonly cases: readonly TestCase[] | undefined;
  readonly skips: readonly Skip[];
  /** The files that were to run, as Deno was told them. */
  readonly files: readonly string[];
  /** Which tests of the files were wanted, as `deno test --filter` takes it; all if undefined. */
  readonly filter: string | undefined;
  /** How it ended: `exited with 1`, `was killed`; undefined if well. */
  readonly trouble: string | undefined;
}

/** Parses the lines that tests wrote into the file of {@link SKIPS}. */
export function parseSkips(text: string): Skip[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Skip);
}

/** How many lines of a complaint are told: enough for what was compared with what. */
const COMPLAINT_LINES = 12;

/** What a test complained of: its message without the stack below it. */
function complaint(message: string): string {
  const lines = message.split("\n");
  const stack = lines.findIndex((line) => /^\s+at /.test(line));
  const told = lines.slice(0, stack < 0 ? undefined : stack).filter((line) => line.trim() !== "");
  return told.slice(0, COMPLAINT_LINES).join("\n      ");
}

/** Counts a run. A file without any test in the report did not load: Deno leaves it out, so it counts here. */
export function countRun(run: Run): Count {
  const cases = run.cases ?? [];
  const reasons = new Map(run.skips.map((skip) => [skip.name, skip.reason]));
  const failures = cases.filter((one) => one.outcome === "failed")
    .map((one) => `${one.file}: ${one.name}: ${complaint(one.message)}`);
  const skips: string[] = [];
  let passed = 0;
  for (const one of cases) {
    const reason = reasons.get(one.name);
    if (one.outcome === "skipped") {
      // The report does not tell what was ignored from what nobody asked for.
      if (run.filter !== undefined && !isWanted(one.name, run.filter)) continue;
      skips.push(`${one.file}: ${one.name}: ${reason ?? "ignored in the source"}`);
    } else if (one.outcome === "passed") {
      if (reason === undefined) passed++;
      else skips.push(`${one.file}: ${one.name}: ${reason}`);
    }
  }
  if (run.cases !== undefined && run.filter === undefined) {
    const seen = new Set(cases.map((one) => plain(one.file)));
    for (const file of run.files) {
      if (!seen.has(plain(file))) failures.push(`${file}: none of its tests was run`);
    }
  }
  if (run.trouble !== undefined && failures.length === 0) {
    failures.push(`deno test ${run.trouble}`);
  }
  return { passed, failed: failures.length, skipped: skips.length, failures, skips };
}

/** Whether `deno test --filter` takes a test: part of its name, or a regular expression between slashes. */
function isWanted(name: string, filter: string): boolean {
  const pattern = /^\/(.*)\/$/s.exec(filter)?.[1];
  return pattern === undefined ? name.includes(filter) : new RegExp(pattern).test(name);
}

function plain(file: string): string {
  return file.replace(/^\.\//, "");
}

/** Adds counts up. */
export function sum(counts: readonly Count[]): Count {
  return {
    passed: counts.reduce((total, count) => total + count.passed, 0),
    failed: counts.reduce((total, count) => total + count.failed, 0),
    skipped: counts.reduce((total, count) => total + count.skipped, 0),
    failures: counts.flatMap((count) => count.failures),
    skips: counts.flatMap((count) => count.skips),
  };
}
