/**
 * `stasis plugin`.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { loadPlugins } from "./options.ts";
import { print } from "./ui/print.ts";

/** The command. */
export const plugin: Command = defineCommand({
  name: "plugin",
  summary: "write a plugin: make one to begin with, test it",
  description:
    "new NAME writes NAME.ts, a plugin that works, with a comment for each part, and NAME_test.ts, and a deno.json for " +
    "editors where there is none. test FILE runs the tests of a plugin, FILE_test.ts beside it. See docs/plugins.md.",
  argument: ["[action]", "new or test"],
  argumentValues: ["new", "test"],
  more: { name: "[name]", description: "the new plugin's name, or the plugin's file" },
  options: {
    check: { flags: "--check", description: "check the types of what is tested first" },
  },
  examples: [
    ["stasis plugin new mydevice", "write mydevice.ts and mydevice_test.ts"],
    ["stasis plugin test mydevice.ts", "run mydevice_test.ts"],
    ["stasis checkpoint 1234 --plugin mydevice.ts", "use it"],
  ],
  async run(action, { check }, _setStatus, [name]) {
    if (action === "new" && name !== undefined) {
      const { writePlugin } = await import("./plugin/new_plugin.ts");
      print(writePlugin(name).map((path) => `wrote ${path}`).join("\n"));
    } else if (action === "test" && name !== undefined) {
      const [plugin] = await loadPlugins([name]);
      const { becomeDeno, checkTypes, scriptPath } = await import("./script/become_deno.ts");
      const tests = scriptPath(name.replace(/\.ts$/, "_test.ts"));
      if (check) await checkTypes(tests);
      print(`${plugin?.name}: ${plugin?.description}`);
      becomeDeno(["test", "--no-check"], [tests]);
    } else {
      throw new StasisError("usage", "say what to do: new NAME, or test FILE", {
        hint: "stasis plugin new mydevice",
      });
    }
  },
});
