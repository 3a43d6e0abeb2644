import assert from "@std/assert";
import { growthTable } from "./growth.ts";
import { median, medianTimes } from "./measure.ts";

Deno.test("growthTable() shows what is linear as 1 and what is quadratic as 2", () => {
  const lines = growthTable("thread", [
    { size: 100, times: { checkpoint: 10, frozen: 5, pages: 2, restore: 20 } },
    { size: 200, times: { checkpoint: 20, frozen: 20, pages: 2, restore: 120 } },
  ]);
  assert.deepEqual(lines.map((line) => line.trim().split(/ {2,}/)), [
    [
      "thread",
      "checkpoint ms",
      "µs/thread",
      "growth",
      "frozen ms",
      "growth",
      "restore ms",
      "µs/thread",
      "growth",
    ],
    ["100", "10.0", "100.0", "5.0", "20.0", "200.0"],
    ["200", "20.0", "100.0", "x1.00", "20.0", "x2.00", "120", "600.0", "x3.00"],
  ]);
});

Deno.test("median() is the middle one", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  const round = (ms: number) => ({ checkpoint: ms, frozen: ms * 2, pages: ms, restore: ms * 3 });
  assert.deepEqual(medianTimes([round(3), round(1), round(2)]), round(2));
});
