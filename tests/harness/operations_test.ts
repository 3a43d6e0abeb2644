import assert from "@std/assert";
import { StasisError } from "../../mod.ts";
import { textOf } from "./operations.ts";

Deno.test("textOf() has every problem of an error, and its hint", () => {
  const problems = ["one", "two"].map((what) => ({ pid: 7, plugin: "core", what }));
  const error = new StasisError("conflict", "it cannot be restored", { problems, hint: "wait" });
  assert.equal(
    textOf(error),
    "it cannot be restored\n  - [7, core] one\n  - [7, core] two\nhint: wait",
  );
});
