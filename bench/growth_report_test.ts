import assert from "@std/assert";
import { type GrowthResult, KINDS } from "./growth.ts";
import { growthHead, growthNotes, growthRows } from "./growth_report.ts";
import { COMMANDS } from "./growth_verdict.ts";

const RESULT: GrowthResult = {
  kind: KINDS.find(({ name }) => name === "eventfds")!,
  size: 60_000,
  processes: 1,
  growths: COMMANDS.map((command) => ({
    command,
    tenthMs: 900,
    wholeMs: 8000,
    ratio: 8 / 9,
    netRatio: command === "restore" ? undefined : 0.99,
    peakBytes: 150 * 2 ** 20,
  })),
  problems: [],
};

Deno.test("growthRows() are as wide as the head", () => {
  const lines = [...growthHead(), ...growthRows(RESULT)];
  assert.equal(new Set(lines.map((line) => line.length)).size, 1);
  const cells = lines[2]!.split("|").map((cell) => cell.trim());
  assert.deepEqual(cells.slice(1, -1), [
    ...["60000 eventfds", "checkpoint -R", "900 ms", "8000 ms", "0.89", "0.99", "150 MiB"],
  ]);
  assert.match(lines[4]!, /\| restore +\| 900 ms +\| 8000 ms +\| 0\.89 +\| +\| 150 MiB/);
});

Deno.test("the titles of all kinds have room", () => {
  const width = growthHead()[0]!.length;
  for (const kind of KINDS) {
    for (const line of growthRows({ ...RESULT, kind, size: kind.full })) {
      assert.equal(line.length, width, kind.title);
    }
  }
});

Deno.test("growthNotes() tell what the machine could not have, and what is too much", () => {
  assert.deepEqual(growthNotes(RESULT), []);
  assert.deepEqual(
    growthNotes({ ...RESULT, size: 10, reason: "vm.max_map_count", problems: ["x"] }),
    ["NOTE: only 10 eventfds: vm.max_map_count allows no more here.", "TOO MUCH: x"],
  );
  assert.match(growthNotes({ ...RESULT, size: 0, reason: "y" })[0]!, /^NOTE: no eventfds/);
});
