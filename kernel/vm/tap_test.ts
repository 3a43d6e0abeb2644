// SPDX-License-Identifier: MIT
import { deepStrictEqual } from "@std/assert";
import { parseTap, tapProblems } from "./tap.ts";

const GOOD = `TAP version 13
1..3
# Starting 3 tests from 1 test cases.
#  RUN           global.a ...
ok 1 global.a
ok 2 # SKIP Kernel has CONFIG_CHECKPOINT_RESTORE
ok 3 suspend.b
# PASSED: 3 / 3 tests passed.
`;

Deno.test("parseTap() tells passed, failed and skipped tests apart", () => {
  deepStrictEqual(parseTap(GOOD), {
    planned: 3,
    passed: ["global.a", "suspend.b"],
    failed: [],
    skipped: ["# SKIP Kernel has CONFIG_CHECKPOINT_RESTORE"],
  });
  deepStrictEqual(parseTap("1..1\nnot ok 1 global.a\n").failed, ["global.a"]);
});

Deno.test("tapProblems() accepts exactly what is expected", () => {
  deepStrictEqual(tapProblems(parseTap(GOOD), { pass: 2, skip: 1 }), []);
});

Deno.test("tapProblems() sees a failure, a missing test, an unexpected skip and a dead program", () => {
  const problems = (text: string, pass: number, skip = 0) =>
    tapProblems(parseTap(text), { pass, skip });
  deepStrictEqual(problems("1..1\nnot ok 1 a\n", 1), ["failed: a", "0 passed instead of 1"]);
  deepStrictEqual(problems("1..1\nok 1 a\n", 2), ["1 passed instead of 2"]);
  deepStrictEqual(problems("1..1\nok 1 # SKIP no\n", 1), [
    "0 passed instead of 1",
    "1 skipped instead of 0: # SKIP no",
  ]);
  deepStrictEqual(problems("1..2\nok 1 a\n", 1), ["2 tests were planned and 1 reported"]);
  deepStrictEqual(problems("", 0), ["no tests were planned and 0 reported"]);
});
