import assert from "@std/assert";
import { growthOf, problemsOf } from "./growth_verdict.ts";
import type { Cost, Round } from "./round.ts";

/** A round in which each command took so long. */
function round(cpuMs: number, mib = 100): Round {
  const cost: Cost = { wallMs: 9, cpuMs, treeCpuMs: 10, peakBytes: mib * 2 ** 20 };
  return { leaveRunning: cost, frozenMs: 1, checkpoint: cost, restore: cost };
}

Deno.test("growthOf() takes the least of the rounds, with and without what an empty program takes", () => {
  const [growth] = growthOf([round(90)], [round(290), round(400)], [round(2090)], 10);
  assert.equal(growth!.tenthMs, 300);
  assert.equal(growth!.wholeMs, 2100);
  assert.equal(growth!.ratio, 0.7);
  assert.equal(growth!.netRatio, 1);
  assert.equal(growthOf([round(90)], [round(100)], [round(100)], 10)[0]!.netRatio, undefined);
});

Deno.test("problemsOf() finds what is quadratic behind a fixed part, and what is too large", () => {
  const linear = growthOf([round(90)], [round(290)], [round(2090)], 10);
  assert.deepEqual(problemsOf("threads", linear), []);
  const quadratic = growthOf([round(490)], [round(690)], [round(5490)], 10);
  assert.ok(quadratic[0]!.ratio < 1);
  assert.match(problemsOf("threads", quadratic)[0]!, /^threads, checkpoint -R: 2\.50 times/);
  const large = growthOf([round(90)], [round(290)], [round(2090, 300), round(2090, 250)], 10);
  assert.deepEqual(problemsOf("threads", large), [
    "threads, checkpoint -R: 250 MiB of memory for itself",
    "threads, checkpoint: 250 MiB of memory for itself",
    "threads, restore: 250 MiB of memory for itself",
  ]);
});
