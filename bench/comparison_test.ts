import assert from "@std/assert";
import { compare, markdown, median, type Row, spreadNotes, summarize } from "./comparison.ts";

Deno.test("median() is the middle one", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
});

Deno.test("compare() gives the ratio of medians, and none where there was no CRIU", () => {
  const cell = compare([30, 10, 20], [5, 4, 100]);
  assert.deepEqual(cell.stasis, { median: 20, fastest: 10, slowest: 30 });
  assert.equal(cell.ratio, 4);
  assert.deepEqual(compare([1, 2, 3], []), { stasis: summarize([1, 2, 3]) });
});

const ROWS: readonly Row[] = [
  { name: "warm", title: "warm", frozen: compare([2, 2.2, 2.1], [2, 2, 2]) },
  {
    name: "small",
    title: "small process",
    frozen: compare([10, 30, 20], [5, 5, 5]),
    running: compare([210, 211, 212], []),
    checkpoint: compare([200, 201, 202], []),
    restore: compare([100, 100, 100], [50, 51, 52]),
  },
];

Deno.test("markdown() is a table, and marks ratios of restless rounds", () => {
  assert.deepEqual(markdown(ROWS), [
    "|               | stands still (`-R`)    | all of `-R` | checkpoint | restore               |",
    "| ------------- | ---------------------- | ----------- | ---------- | --------------------- |",
    "| warm          | 2.1 ms / 2.0 ms = 1.05 |             |            |                       |",
    "| small process | 20 ms / 5.0 ms = ~4.00 | 211 ms      | 201 ms     | 100 ms / 51 ms = 1.96 |",
  ]);
});

Deno.test("spreadNotes() names the worst and warns", () => {
  const [spread, warning] = spreadNotes(ROWS);
  assert.match(spread!, /at worst 3\.00 times \(small process, frozen, stasis\)/);
  assert.match(warning!, /^WARNING: 1 of 8 series/);
  assert.equal(spreadNotes(ROWS.slice(0, 1)).length, 1);
  assert.deepEqual(spreadNotes([]), []);
});
