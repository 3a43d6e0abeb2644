// SPDX-License-Identifier: MIT
/**
 * TAP, as the kernel's selftests write it.
 *
 * @module
 */

/** What a test program reported. */
export interface TapReport {
  /** How many tests it said there would be; `undefined` if it did not get as far. */
  readonly planned: number | undefined;
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

/** Reads TAP. Lines that are no results (diagnostics begin with `#`) are passed over. */
export function parseTap(text: string): TapReport {
  const report = { passed: [] as string[], failed: [] as string[], skipped: [] as string[] };
  let planned: number | undefined;
  for (const line of text.split("\n")) {
    const plan = /^1\.\.(\d+)$/.exec(line);
    if (plan) planned = Number(plan[1]);
    const result = /^(not )?ok (?:\d+) (.*)$/.exec(line);
    if (!result) continue;
    const name = result[2]!;
    if (result[1]) report.failed.push(name);
    else if (/#\s*skip/i.test(name)) report.skipped.push(name);
    else report.passed.push(name);
  }
  return { planned, ...report };
}

/** How many tests of a program must pass, and how many it may skip: exactly so many. */
export interface Expectation {
  readonly pass: number;
  readonly skip: number;
}

/**
 * What is wrong with a report: a failure, a test that vanished, or one that is skipped unexpectedly.
 * A program that dies in the middle is found by its plan.
 */
export function tapProblems(report: TapReport, expected: Expectation): string[] {
  const problems = report.failed.map((name) => `failed: ${name}`);
  const total = report.passed.length + report.failed.length + report.skipped.length;
  if (report.planned !== total) {
    problems.push(`${report.planned ?? "no"} tests were planned and ${total} reported`);
  }
  if (report.passed.length !== expected.pass) {
    problems.push(`${report.passed.length} passed instead of ${expected.pass}`);
  }
  if (report.skipped.length !== expected.skip) {
    problems.push(
      `${report.skipped.length} skipped instead of ${expected.skip}: ${report.skipped.join("; ")}`,
    );
  }
  return problems;
}
