import { deepEqual } from "@std/assert";
import { pidsProblems, type PlacedProcess } from "./pids_limit.ts";

function problems(
  processes: readonly PlacedProcess[],
  limits: Readonly<Record<string, readonly [limit: number | undefined, current: number]>>,
  areIn = false,
): string[] {
  const limitOf = (path: string) => {
    const found = limits[path];
    return found && { limit: found[0], current: found[1] };
  };
  return [...pidsProblems("", processes, limitOf, areIn)].map(({ what }) => what);
}

const of = (pid: number, ...threads: string[]): PlacedProcess => ({ pid, threads });

Deno.test("pidsProblems() has room for all threads up to the limit", () => {
  deepEqual(problems([of(1, "/a", "/a", "/a")], { "/a": [3, 0] }), []);
  deepEqual(problems([of(1, "/a", "/a", "/a")], { "/a": [3, 1] }), [
    "the control group /a may have 3 tasks, and would have 4 while the tree is built",
  ]);
  deepEqual(problems([of(1, "/a", "/a")], { "/a": [undefined, 9] }), []);
});

Deno.test("pidsProblems() lets processes enter, which no limit keeps out", () => {
  deepEqual(problems([of(1, "/a"), of(2, "/a")], { "/a": [1, 5] }), []);
});

Deno.test("pidsProblems() counts what is in groups below", () => {
  deepEqual(problems([of(1, "/a/b", "/a/b"), of(2, "/a/c")], { "/a": [2, 0] }), [
    "the control group /a may have 2 tasks, and would have 3 while the tree is built",
  ]);
});

Deno.test("pidsProblems() counts threads where they are born", () => {
  const threaded = [of(1, "/a/x", "/a/y", "/a/y")];
  deepEqual(problems(threaded, { "/a/x": [1, 1], "/a": [3, 3] }, true), [
    "the control group /a/x may have 1 tasks, and would have 3 while the tree is built",
  ]);
  deepEqual(problems(threaded, { "/a/x": [3, 1], "/a": [3, 3] }, true), []);
});
