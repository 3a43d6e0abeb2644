import { deepEqual, equal } from "@std/assert";
import { countDifferent, pairRuns } from "./pages.ts";

const PAGE = 4096n;
const run = (start: bigint, pages: bigint, offset = start) => ({
  start: start * PAGE,
  size: pages * PAGE,
  pages: "pages-1.img",
  offset: offset * PAGE,
});
/** Pairs as pages: where, how many, and where either side has them. */
const pairs = (...[before, after, most]: Parameters<typeof pairRuns>) =>
  pairRuns(before, after, most).map(({ start, size, before, after }) => [
    start / PAGE,
    size / PAGE,
    before && before.offset / PAGE,
    after && after.offset / PAGE,
  ]);

Deno.test("pairRuns() cuts where either side begins or ends", () => {
  deepEqual(pairs([run(1n, 4n, 10n), run(9n, 1n, 20n)], [run(3n, 4n, 30n)], 100n * PAGE), [
    [1n, 2n, 10n, undefined],
    [3n, 2n, 12n, 30n],
    [5n, 2n, undefined, 32n],
    [9n, 1n, 20n, undefined],
  ]);
});

Deno.test("pairRuns() makes no pair longer than asked, and none of nothing", () => {
  deepEqual(pairs([run(0n, 5n)], [run(0n, 5n)], 2n * PAGE), [
    [0n, 2n, 0n, 0n],
    [2n, 2n, 2n, 2n],
    [4n, 1n, 4n, 4n],
  ]);
  deepEqual(pairs([], [], PAGE), []);
  deepEqual(pairs([], [run(7n, 1n)], PAGE), [[7n, 1n, undefined, 7n]]);
});

Deno.test("countDifferent() counts pages, not bytes", () => {
  const before = new Uint8Array(3 * Number(PAGE));
  const after = before.slice();
  equal(countDifferent(before, after), 0);
  after[0] = 1;
  after[5] = 1;
  after[after.length - 1] = 1;
  equal(countDifferent(before, after), 2);
});
