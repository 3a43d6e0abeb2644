import assert from "@std/assert";
import { COMMANDS } from "./commands.ts";
import { CRIU_OPTIONS, criuAnswer } from "./criu_options.ts";
import { runProgram } from "./program.ts";

Deno.test("CRIU_OPTIONS has none that is here", () => {
  const commands = COMMANDS.filter(({ name }) => ["checkpoint", "restore"].includes(name));
  assert.equal(commands.length, 2);
  const flags = commands.flatMap(({ options }) =>
    Object.values(options).map(({ flags }) => /--([a-z-]+)/.exec(flags)?.[1] ?? "")
  );
  assert.ok(flags.includes("leave-running"));
  assert.deepEqual(flags.filter((flag) => Object.hasOwn(CRIU_OPTIONS, flag)), []);
});

Deno.test("criuAnswer() knows an option with and without its value, and no others", () => {
  assert.equal(criuAnswer("--log-pid"), CRIU_OPTIONS["log-pid"]);
  assert.equal(criuAnswer("--log-pid=dump.log"), CRIU_OPTIONS["log-pid"]);
  assert.equal(criuAnswer("--to-string"), undefined);
  assert.equal(criuAnswer("--toString"), undefined);
});

Deno.test("an option of CRIU's that is not here is answered by what to do instead", async () => {
  await assert.rejects(() => runProgram(["restore", "--lazy-pages"], () => {}), {
    code: "usage",
    message: "CRIU's option --lazy-pages is not here",
    hint: CRIU_OPTIONS["lazy-pages"],
  });
});

Deno.test("a command of CRIU's that is not here is answered alike", async () => {
  await assert.rejects(() => runProgram(["pre-dump", "-t", "1"], () => {}), {
    code: "usage",
    message: "CRIU's command pre-dump is not here",
    hint: /--parent/,
  });
  await assert.rejects(() => runProgram(["toString"], () => {}), { message: /unknown command/ });
});
