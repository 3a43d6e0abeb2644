import assert from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { describeError, errorJson } from "./error_text.ts";

const ERROR = new StasisError("unsupported", "task 7 cannot be checkpointed: 2 problems", {
  pid: 7,
  hint: "close them",
  problems: [
    { pid: 7, plugin: "files", what: "descriptor 3 is odd", hint: "close it" },
    { pid: 7, tid: 8, plugin: "sud", what: "this kernel is too old" },
    { plugin: "core", what: "there is no room" },
  ],
});

Deno.test("describeError() lists every problem with its hint", () => {
  assert.equal(
    describeError(ERROR, false),
    `stasis: task 7 cannot be checkpointed: 2 problems
  - [7 files] descriptor 3 is odd
    close it
  - [7/8 sud] this kernel is too old
  - [core] there is no room
hint: close them`,
  );
});

Deno.test("describeError() colours where it is told to", () => {
  assert.ok(describeError(ERROR, true).startsWith("\x1b[31mstasis:\x1b["));
});

Deno.test("errorJson() has the stable code and the exit status", () => {
  const { error } = errorJson(ERROR);
  assert.equal(error.code, "unsupported");
  assert.equal(error.exitStatus, 4);
  assert.deepEqual(error.problems, ERROR.problems);
});
