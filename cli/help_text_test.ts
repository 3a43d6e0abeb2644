import assert from "@std/assert";
import type { Command as Program } from "commander";
import { COMMANDS } from "./commands.ts";
import { commandHelp, helpAnswer, type HelpStyle, programHelp } from "./help_text.ts";
import { createProgram } from "./program.ts";
import { VERSION } from "./version.ts";

/** What commander prints. */
function commanders(command: Program, { width, colour }: HelpStyle): string {
  let text = "";
  command.configureOutput({
    writeOut: (more) => text += more,
    getOutHelpWidth: () => width,
    getOutHasColors: () => colour,
  });
  command.outputHelp();
  return text;
}

Deno.test("programHelp() and commandHelp() are what commander prints, at every width", () => {
  for (const colour of [false, true]) {
    for (const width of [10, 39, 40, 62, 63, 64, 72, 79, 80, 81, 100, 133, 250]) {
      const style = { width, colour };
      const program = createProgram(() => {});
      assert.equal(`${programHelp(COMMANDS, style)}\n`, commanders(program, style));
      for (const command of COMMANDS) {
        const same = program.commands.find((one) => one.name() === command.name)!;
        assert.equal(`${commandHelp(command, style)}\n`, commanders(same, style), command.name);
      }
    }
  }
});

Deno.test("helpAnswer() answers what asks for help, and nothing else", () => {
  const whole = helpAnswer(COMMANDS, ["--help"]);
  assert.match(whole ?? "", /Usage:.* stasis \[options\] \[command\]\n/);
  for (const line of ["-h", "help"]) assert.equal(helpAnswer(COMMANDS, [line]), whole);
  const restore = helpAnswer(COMMANDS, ["restore", "--help"]);
  assert.match(restore ?? "", /Usage:.* stasis restore /);
  for (const line of [["restore", "-h"], ["help", "restore"]]) {
    assert.equal(helpAnswer(COMMANDS, line), restore);
  }
  assert.equal(helpAnswer(COMMANDS, ["dump", "-h"]), helpAnswer(COMMANDS, ["checkpoint", "-h"]));
  for (const line of ["-V", "--version"]) assert.equal(helpAnswer(COMMANDS, [line]), VERSION);
  const others = [
    ...[[], ["restore"], ["help", "nobody"], ["nobody", "--help"], ["--help", "restore"]],
    ...[["run", "top", "--help"], ["-hV"], ["restore", "help"], ["--version", "-h"]],
  ];
  for (const line of others) assert.equal(helpAnswer(COMMANDS, line), undefined, line.join(" "));
});
