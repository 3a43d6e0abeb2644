import { deepEqual, equal, match } from "@std/assert";
import { StasisError } from "../base/errors.ts";
import type { JobEvent } from "../jobs/events.ts";
import { jobEventJson, jobEventText } from "./job_report.ts";

const saved: JobEvent = {
  event: "saved",
  checkpoint: 3,
  bytes: 2048,
  frozenMs: 4,
  totalMs: 20,
  ended: false,
};
const error = new StasisError("io", "cannot write x: ENOSPC", { hint: "make room" });

Deno.test("jobEventText() tells what was not expected, and with -v all", () => {
  equal(jobEventText(saved, false), undefined);
  equal(
    jobEventText(saved, true),
    "saved as checkpoint 3: 2.0 KiB in 20 ms, stood still for 4.0 ms",
  );
  match(jobEventText({ ...saved, ended: true }, false) ?? "", /^saved as checkpoint 3: the same/);
  equal(
    jobEventText({ event: "adopted", checkpoint: 2, ended: false }, false),
    "saved as checkpoint 2 nevertheless",
  );
  equal(
    jobEventText({ event: "not-saved", error }, false),
    "not saved, and runs on: cannot write x: ENOSPC (make room)",
  );
  equal(
    jobEventText({ event: "taken-up", checkpoint: 2, pid: 7, innerPid: 5 }, false),
    "taken up from checkpoint 2: process 7, as 5 in a pid namespace of its own",
  );
  for (const event of [{ event: "started", pid: 1 }, { event: "ended", signal: 9 }] as const) {
    equal(jobEventText(event, false), undefined);
  }
  equal(jobEventText({ event: "ended", signal: 9 }, true), "the job has ended by signal 9");
  equal(jobEventText({ event: "ended", code: 2 }, true), "the job has ended with status 2");
});

Deno.test("jobEventJson() is one line", () => {
  const at = "2026-01-01T00:00:00.000Z";
  deepEqual(JSON.parse(jobEventJson(saved, at)), { at, ...saved });
  const { error: told } = JSON.parse(jobEventJson({ event: "not-saved", error }, at));
  equal(told.code, "io");
  equal(told.hint, "make room");
});
