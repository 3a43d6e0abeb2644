import { deepEqual, throws } from "@std/assert";
import { readOutcome } from "./save.ts";

Deno.test("readOutcome() reads what a checkpoint inside has printed", () => {
  const result = { bytes: 5, frozenMs: 1.5, totalMs: 2, tasks: 1, threads: 3 };
  deepEqual(readOutcome(0, JSON.stringify({ ...result, pid: 7, directory: "/x" })), result);
  const error = { code: "io", message: "cannot write", hint: "make room", exitStatus: 10 };
  throws(() => readOutcome(10, JSON.stringify({ error })), {
    code: "io",
    message: "cannot write",
    hint: "make room",
  });
  throws(() => readOutcome(1, ""), { code: "internal" });
  throws(() => readOutcome(1, JSON.stringify({ error: { code: "odd", message: "x" } })), {
    code: "internal",
  });
});
