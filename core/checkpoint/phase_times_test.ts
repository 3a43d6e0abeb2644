import { deepEqual, equal } from "@std/assert";
import type { StasisEvent } from "../../base/events.ts";
import { PhaseTimes, toMicroseconds } from "./phase_times.ts";

Deno.test("PhaseTimes has the phases that have ended, and hands on all that it hears", () => {
  let now = 0;
  const heard: string[] = [];
  const times = new PhaseTimes(() => now);
  const listener = times.before(({ kind }) => heard.push(kind));
  const events: readonly (readonly [number, StasisEvent])[] = [
    [1, { kind: "phase", phase: "survey" }],
    [2, { kind: "note", plugin: "core", text: "a note" }],
    [3.5, { kind: "phase", phase: "freeze" }],
    [3.75, { kind: "phase", phase: "dump" }],
  ];
  for (const [at, event] of events) {
    now = at;
    listener(event);
  }
  deepEqual(heard, ["phase", "note", "phase", "phase"]);
  deepEqual(times.ended, [
    { phase: "survey", duration: 2500n },
    { phase: "freeze", duration: 250n },
  ]);
});

Deno.test("toMicroseconds() leaves out what floating point adds", () => {
  equal(toMicroseconds(38.32194200000001), 38.322);
});
