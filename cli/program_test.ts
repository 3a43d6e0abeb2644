import assert from "@std/assert";
import type { Command } from "commander";
import process from "node:process";
import { EXIT_STATUS } from "../base/errors.ts";
import { statusOf } from "./restore.ts";
import { STATUS_MEANINGS } from "./help.ts";
import { COMMANDS } from "./commands.ts";
import { readPlainArguments } from "./plain_arguments.ts";
import { createProgram, runProgram, withBareValues } from "./program.ts";

/** The help of a command as it is printed, 80 columns wide and without colour. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (more) => text += more,
    getOutHelpWidth: () => 80,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text;
}

Deno.test("createProgram() has help for everything", async (t) => {
  const program = createProgram(() => {});
  await t.assertSnapshot(helpOf(program), "stasis");
  for (const command of program.commands) {
    const help = helpOf(command);
    assert.match(help, /^Examples:$/m, `${command.name()} has examples`);
    await t.assertSnapshot(help, command.name());
  }
});

Deno.test("createProgram() knows the names that CRIU has", () => {
  const program = createProgram(() => {});
  const checkpoint = program.commands.find((command) => command.aliases().includes("dump"));
  assert.equal(checkpoint?.name(), "checkpoint");
  const flags = checkpoint?.options.map((option) => option.flags);
  assert.ok(flags?.includes("-t, --tree <pid>") && flags.includes("-D, --images-dir <dir>"));
});

Deno.test("withBareValues() takes no command for the first that has no second name", () => {
  assert.deepEqual(withBareValues([]), []);
});

Deno.test("runProgram() refuses values that are nothing", async () => {
  for (
    const [line, what] of [
      [["checkpoint", "1", "-D", ""], /--images-dir <dir> is empty/],
      [["restore", "x", "--external", "a", "--external="], /--external <resource> is empty/],
      [["restore", ""], /the image directory, .* is empty/],
    ] as const
  ) {
    assert.equal(readPlainArguments(COMMANDS, line), undefined);
    await assert.rejects(() => runProgram(line, () => {}), { code: "usage", message: what });
  }
});

Deno.test("runProgram() says how a value is given that may be left out", async () => {
  const lines = [
    [["restore", "dir", "--manage-cgroups", "props"], "write --manage-cgroups=props"],
    [["checkpoint", "7", "-v", "2"], "write --verbose=2"],
  ] as const;
  for (const [line, hint] of lines) {
    await assert.rejects(() => runProgram(line, () => {}), { code: "usage", hint });
  }
});

Deno.test("runProgram() says that there is no such command to help with", async () => {
  const { write } = process.stderr;
  process.stderr.write = () => true; // the help
  try {
    await assert.rejects(() => runProgram(["help", "foo"], () => {}), {
      code: "usage",
      message: "there is no command foo",
    });
  } finally {
    process.stderr.write = write;
  }
});

Deno.test("STATUS_MEANINGS has different statuses for different errors", () => {
  assert.deepEqual(Object.keys(STATUS_MEANINGS).sort(), Object.keys(EXIT_STATUS).sort());
  assert.equal(new Set(Object.values(EXIT_STATUS)).size, Object.keys(EXIT_STATUS).length);
});

Deno.test("statusOf() is the root's own, or 128 and the signal", () => {
  assert.equal(statusOf({ code: 7 }), 7);
  assert.equal(statusOf({ signal: 15 }), 143);
  assert.equal(statusOf({}), 0);
});
