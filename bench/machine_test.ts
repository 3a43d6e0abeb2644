import assert from "@std/assert";
import { machineNotes, parseTicks } from "./machine.ts";

Deno.test("parseTicks() adds up the first line of /proc/stat", () => {
  assert.deepEqual(parseTicks("cpu  1 2 3 40 5 6 7 8 9 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"), {
    all: 72,
    idle: 45,
    stolen: 8,
  });
});

Deno.test("machineNotes() tells load and idleness, and warns of a busy machine", () => {
  const at = (load: number, all: number, idle: number) => ({
    load,
    ticks: { all, idle, stolen: 0 },
  });
  const quiet = machineNotes(at(0.1, 1000, 500), at(0.9, 2000, 1000), 2);
  assert.deepEqual(quiet.length, 1);
  assert.match(quiet[0]!, /2 processors, load 0\.10 before and 0\.90 after; idle for 50 %/);
  assert.match(machineNotes(at(3, 0, 0), at(3, 0, 0), 2)[1]!, /^WARNING/);
});
