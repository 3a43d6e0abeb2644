import assert from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { parseLevel } from "./report.ts";
import { Progress } from "./ui/progress.ts";

Deno.test("parseLevel() reads letters, numbers as CRIU has them, and many", () => {
  assert.equal(parseLevel(["1"]), 1);
  assert.equal(parseLevel(["vv"]), 3);
  assert.equal(parseLevel(["4"]), 4);
  assert.equal(parseLevel(["1", "1"]), 2);
  assert.throws(() => parseLevel(["R"]), { code: "usage" });
});

Deno.test("Progress tells by what something failed, and where, as much as is wanted", () => {
  const cause = new Error("the reason");
  const error = new StasisError("io", "it failed", { cause });
  const told = (level: number) => {
    let text = "";
    const write = (more: string) => void (text += more);
    const options = { write, terminal: false, colour: false, level, now: () => 0 };
    new Progress(options).fail(error);
    return text;
  };
  assert.equal(told(0), "");
  assert.equal(told(1), "     0.0 ms failed: it failed\n            because: the reason\n");
  assert.match(told(2), /it failed\n +at .*report_test\.ts[^]*the reason\n +at /);
});

Deno.test("Progress tells steps, and the calls of each, only if asked", () => {
  const told = (level: number) => {
    let text = "";
    const write = (more: string) => void (text += more);
    const progress = new Progress({
      write,
      terminal: false,
      colour: false,
      level,
      now: () => 0,
    });
    progress.listener({ kind: "step", text: "task 7, memory: 1 call", calls: () => ["brk(0)"] });
    return text;
  };
  assert.equal(told(1), "");
  assert.equal(told(2), "     0.0 ms   task 7, memory: 1 call\n");
  assert.equal(told(3), "     0.0 ms   task 7, memory: 1 call\n               brk(0)\n");
});
