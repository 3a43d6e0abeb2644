import { deepEqual } from "@std/assert";
import { divideFamily, mergeRuns } from "./parent_layout.ts";
import type { SavedRun } from "./saved_pages.ts";

const saved = (start: bigint, size: bigint, pages: string, offset: bigint): SavedRun => ({
  start: start << 12n,
  size: size << 12n,
  pages,
  offset: offset << 12n,
});
const shared = (start: bigint, size: bigint, tasks: readonly number[]) => ({
  start: start << 12n,
  size: size << 12n,
  tasks,
});

Deno.test("divideFamily() leaves common pages that were at one place before", () => {
  const unchanged = [saved(0n, 4n, "shared", 0n)];
  const { written, left } = divideFamily([shared(0n, 4n, [0, 1])], [unchanged, unchanged]);
  deepEqual(written, []);
  deepEqual(left, [unchanged, unchanged]);
});

Deno.test("divideFamily() writes common pages that one of the tasks did not have, or elsewhere", () => {
  const both = [0, 1];
  const { written, left } = divideFamily([shared(0n, 6n, both)], [
    [saved(0n, 6n, "one", 0n)],
    // Born since, with the first two pages from a file of its own; the fifth is at the same place by chance.
    [saved(0n, 2n, "other", 0n), saved(4n, 1n, "one", 4n), saved(5n, 1n, "one", 9n)],
  ]);
  deepEqual(written, [shared(0n, 4n, both), shared(5n, 1n, both)]);
  deepEqual(left, [[saved(4n, 1n, "one", 4n)], [saved(4n, 1n, "one", 4n)]]);
});

Deno.test("divideFamily() leaves nothing at an address at which others of the family write", () => {
  const unchanged = saved(0n, 2n, "own", 0n);
  const { written, left } = divideFamily([shared(0n, 1n, [0, 1])], [[], [], [unchanged]]);
  deepEqual(written, [shared(0n, 1n, [0, 1])]);
  deepEqual(left[2], [saved(1n, 1n, "own", 1n)]);
});

Deno.test("mergeRuns() is ascending", () => {
  const [a, b, c] = [shared(0n, 1n, []), shared(1n, 1n, []), shared(2n, 1n, [])];
  deepEqual(mergeRuns([a, c] as const, [b] as const), [a, b, c]);
});
