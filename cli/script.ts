/**
 * `stasis script`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { type Command, defineCommand } from "./command.ts";

/** The command. */
export const script: Command = defineCommand({
  name: "script",
  summary: 'run a script of yours, which imports from "stasis"',
  description:
    'Runs a TypeScript file with everything that the commands do as functions: import { checkpoint } from "stasis". ' +
    "What stands behind the file is the script's (Deno.args). See docs/scripting.md.",
  argument: ["[file]", "the script"],
  more: { name: "[args...]", description: "its arguments and options", passed: true },
  options: {
    check: { flags: "--check", description: "check its types first" },
  },
  examples: [
    ["stasis script pipeline.ts 1234", "run it"],
    ["stasis script --check pipeline.ts 1234", "and check its types first"],
  ],
  async run(file, { check }, _setStatus, args) {
    if (file === undefined) {
      throw new StasisError("usage", "no script was given", { hint: "stasis script FILE" });
    }
    const { becomeDeno, checkTypes, scriptPath } = await import("./script/become_deno.ts");
    const { PRELOAD } = await import("./script/module_files.ts");
    const path = scriptPath(file);
    if (check) await checkTypes(path);
    becomeDeno(["run", "--no-check", "--preload", PRELOAD], [path, ...args]);
  },
});
