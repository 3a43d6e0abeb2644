import { equal, throws } from "@std/assert";
import { nextSave, parseDuration } from "./schedule.ts";

Deno.test("nextSave() is a period after the last one began", () => {
  equal(nextSave(1000, { begun: 0, ended: 20 }), 1000);
  equal(nextSave(1000, { begun: 500, ended: 900 }), 1500);
});

Deno.test("nextSave() leaves a job as much time as it takes to save it", () => {
  equal(nextSave(100, { begun: 0, ended: 300 }), 600);
});

Deno.test("parseDuration() reads units, and seconds without", () => {
  for (
    const [text, ms] of [
      ["10m", 600_000],
      ["90s", 90_000],
      ["1.5h", 5_400_000],
      ["250ms", 250],
      [
        "3",
        3000,
      ],
      ["0.25", 250],
      ["0s", 0],
    ] as const
  ) equal(parseDuration(text), ms);
  for (const text of ["", "m", "-1s", "1d", "1 s", "1e3", "600h", "1.2345s", "ten"]) {
    throws(() => parseDuration(text), { code: "usage" });
  }
});
