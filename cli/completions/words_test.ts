import assert from "@std/assert";
import { COMMANDS } from "../commands.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { completedCommands } from "./words.ts";
import { zshScript } from "./zsh.ts";

const commands = completedCommands(COMMANDS);

Deno.test("completedCommands() has every command and option, and knows what their values are", () => {
  const checkpoint = commands.find(({ names }) => names.includes("checkpoint"));
  assert.deepEqual(checkpoint?.names, ["checkpoint", "dump"]);
  assert.deepEqual(checkpoint?.values, ["pid"]);
  const option = (name: string) => checkpoint?.options.find(({ names }) => names.includes(name));
  assert.deepEqual(option("--images-dir")?.names, ["-D", "--images-dir"]);
  assert.equal(option("-D")?.values, "directory");
  assert.equal(option("--tree")?.values, "pid");
  assert.equal(option("--ghost-limit")?.values, "anything");
  assert.equal(option("--json")?.values, undefined);
  assert.ok(option("--manage-cgroups")?.attached);
  assert.ok(option("--manage-cgroups")?.values?.includes("soft"));
  assert.ok(option("--help"));
  const inspect = commands.find(({ names }) => names.includes("inspect"));
  const core = inspect?.options.find(({ names }) => names.includes("--core"));
  assert.equal(core?.values, "saved pid");
  const help = commands.find(({ names }) => names.includes("help"));
  assert.deepEqual(help?.values, [
    [...COMMANDS].flatMap(({ name, alias }) => alias ? [name, alias] : [name]),
  ]);
});

Deno.test("scripts of all shells have every command and option", () => {
  for (const script of [bashScript(commands), zshScript(commands), fishScript(commands)]) {
    for (const { names, options } of commands) {
      for (const name of names) assert.match(script, new RegExp(`\\b${name}\\b`));
      for (const { names } of options) {
        assert.match(script, new RegExp(`[ {'-]${names.at(-1)?.slice(2)}\\b`));
      }
    }
  }
});
