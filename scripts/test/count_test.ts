import assert from "@std/assert";
import { countRun, parseSkips, type Run, sum } from "./count.ts";
import type { Outcome, TestCase } from "./junit.ts";

const test = (name: string, outcome: Outcome, message = ""): TestCase => ({
  name,
  file: "./a_test.ts",
  outcome,
  time: 0,
  message,
});
const RUN: Run = {
  cases: [test("good", "passed"), test("needs hardware", "passed"), test("off", "skipped")],
  skips: parseSkips('{"name":"needs hardware","reason":"no such device"}\n'),
  files: ["a_test.ts"],
  filter: undefined,
  trouble: undefined,
};

Deno.test("countRun() counts what a test skips by itself as skipped, with its reason", () => {
  assert.deepEqual(countRun(RUN), {
    passed: 1,
    failed: 0,
    skipped: 2,
    failures: [],
    skips: [
      "./a_test.ts: needs hardware: no such device",
      "./a_test.ts: off: ignored in the source",
    ],
  });
});

Deno.test("countRun() counts files that Deno leaves out of its report as failed", () => {
  const run = { ...RUN, files: ["a_test.ts", "b_test.ts"], trouble: "exited with 1" };
  assert.deepEqual(countRun(run).failures, ["b_test.ts: none of its tests was run"]);
  assert.deepEqual(countRun({ ...run, filter: "b" }).failures, ["deno test exited with 1"]);
  assert.equal(countRun({ ...RUN, cases: undefined, trouble: "was killed" }).failed, 1);
});

Deno.test("countRun() does not count as skipped what nobody asked for", () => {
  for (const filter of ["off", "/^of+$/"]) {
    assert.deepEqual(countRun({ ...RUN, filter }).skips.length, 2, filter);
  }
  for (const filter of ["good", "/^ff/"]) {
    const count = countRun({ ...RUN, filter });
    assert.deepEqual(count.skips, ["./a_test.ts: needs hardware: no such device"], filter);
  }
});

Deno.test("countRun() keeps a test failed that has also skipped something", () => {
  const count = countRun({
    ...RUN,
    cases: [test("needs hardware", "failed", "no\n\n'that'\n    at x.ts:1")],
  });
  assert.deepEqual([count.passed, count.failed, count.skipped], [0, 1, 0]);
  assert.deepEqual(count.failures, ["./a_test.ts: needs hardware: no\n      'that'"]);
});

Deno.test("sum() adds counts and their lists", () => {
  const total = sum([countRun(RUN), countRun(RUN)]);
  assert.deepEqual([total.passed, total.failed, total.skipped, total.skips.length], [2, 0, 4, 4]);
});
