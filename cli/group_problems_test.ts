import assert from "@std/assert";
import type { Problem } from "../base/errors.ts";
import { groupProblems } from "./group_problems.ts";

const odd = (pid: number, fd: number, hint?: string): Problem => ({
  pid,
  plugin: "files",
  what: `descriptor ${fd} is odd`,
  hint,
});

Deno.test("groupProblems() says what several tasks have in common once", () => {
  const [kind, ...others] = groupProblems([odd(7, 3), { ...odd(9, 3), tid: 10 }, odd(7, 3)]);
  assert.deepEqual(others, []);
  assert.deepEqual(kind, {
    shown: [{ whose: "7, 9/10 files", what: "descriptor 3 is odd", hint: undefined }],
    more: 0,
  });
});

Deno.test("groupProblems() shows the first of thousands, and counts the others", () => {
  const many = Array.from({ length: 5000 }, (_, index) => odd(7 + index % 2, 3 + index));
  const [kind] = groupProblems(many);
  assert.deepEqual(kind?.shown.map(({ whose, what }) => `${whose}: ${what}`), [
    "7 files: descriptor 3 is odd",
    "8 files: descriptor 4 is odd",
    "7 files: descriptor 5 is odd",
  ]);
  assert.equal(kind?.more, 4997);
});

Deno.test("groupProblems() shows four rather than three and that there is one more", () => {
  const [kind] = groupProblems([3, 4, 5, 6].map((fd) => odd(7, fd)));
  assert.equal(kind?.shown.length, 4);
  assert.equal(kind?.more, 0);
});

Deno.test("groupProblems() names some of the tasks, and counts the others", () => {
  const [kind] = groupProblems(Array.from({ length: 100 }, (_, index) => odd(100 + index, 3)));
  const named = [100, 101, 102, 103, 104, 105, 106, 107].join(", ");
  assert.equal(kind?.shown[0]?.whose, `${named} and 92 more files`);
});

Deno.test("groupProblems() keeps apart what is not of one kind, in its order", () => {
  const problems = [odd(7, 3, "close it"), { plugin: "core", what: "no room" }, odd(7, 4)];
  assert.deepEqual(groupProblems(problems).map(({ shown }) => shown[0]?.whose), [
    "7 files",
    "core",
    "7 files",
  ]);
});
