import { deepEqual, match } from "@std/assert";
import { deadTaskProblems, openDead } from "./dead_tasks.ts";

Deno.test("openDead() keeps files under their numbers, and sets positions while the task is there", () => {
  const program = openDead(7, [
    { path: "/proc/7", flags: 0o200000, pos: 0n, service: 100 },
    { path: "/proc/7/status", flags: 0, pos: 5n, service: 101 },
  ]);
  deepEqual(program.calls.map(({ name, required }) => `${name}${required ? "" : "?"}`), [
    "openat",
    "dup3",
    "close",
    "openat",
    "lseek?",
    "dup3",
    "close",
  ]);
});

Deno.test("deadTaskProblems() names ids that others must have while the tree is born", () => {
  deepEqual(deadTaskProblems([7, 8], new Set([5, 6]), 5), []);
  const [taken, ...more] = deadTaskProblems([7, 8, 8], new Set([5, 6, 8]), 5);
  deepEqual([taken?.pid, more], [8, []]);
  match(taken?.what ?? "", /another one must have that id/);
});

Deno.test("deadTaskProblems() has no id for anybody before a root that is process 1", () => {
  const problems = deadTaskProblems([7, 8], new Set([1]), 1);
  deepEqual(problems.map(({ pid }) => pid), [7, 8]);
  match(problems[0]?.what ?? "", /process 1/);
});
