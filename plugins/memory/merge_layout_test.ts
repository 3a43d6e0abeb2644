import { deepEqual } from "@std/assert";
import { savedFamilies } from "./merge_layout.ts";
import type { SavedRun } from "./saved_pages.ts";

const saved = (start: bigint, size: bigint, pages: string, offset: bigint): SavedRun => ({
  start: start << 12n,
  size: size << 12n,
  pages,
  offset: offset << 12n,
});

Deno.test("savedFamilies() finds what tasks have at one address from one place", () => {
  const families = savedFamilies(
    new Map([
      [1, [saved(0n, 3n, "shared", 0n), saved(5n, 1n, "one", 0n), saved(1000n, 2n, "shared", 3n)]],
      [2, [
        saved(1n, 4n, "shared", 1n),
        saved(5n, 1n, "other", 0n),
        saved(1001n, 1n, "shared", 4n),
      ]],
      [3, [saved(0n, 3n, "own", 0n)]],
    ]),
  );
  deepEqual(families, [{
    tasks: [1, 2],
    runs: [
      { start: 1n << 12n, size: 2n << 12n, tasks: [0, 1] },
      { start: 1001n << 12n, size: 1n << 12n, tasks: [0, 1] },
    ],
  }]);
});

Deno.test("savedFamilies() puts tasks together that are related by others", () => {
  const a = saved(0n, 1n, "a", 0n), b = saved(600n, 1n, "b", 0n);
  const families = savedFamilies(new Map([[3, [a]], [1, [b]], [2, [a, b]], [4, []]]));
  deepEqual(families.map(({ tasks }) => tasks), [[1, 2, 3]]);
  deepEqual(families[0]?.runs.map(({ tasks }) => tasks), [[1, 2], [0, 1]]);
});

Deno.test("savedFamilies() finds nothing where one page is at different addresses, or none is twice", () => {
  deepEqual(
    savedFamilies(new Map([[1, [saved(0n, 1n, "a", 0n)]], [2, [saved(1n, 1n, "a", 0n)]]])),
    [],
  );
  deepEqual(savedFamilies(new Map([[1, [saved(0n, 1n, "a", 0n)]]])), []);
});
