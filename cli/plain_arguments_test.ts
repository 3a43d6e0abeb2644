import assert from "@std/assert";
import { Command as Program } from "commander";
import { Mulberry32 } from "../tests/harness/mulberry32.ts";
import type { Command } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { type PlainArguments, readPlainArguments } from "./plain_arguments.ts";
import { addCommand, withBareValues } from "./program.ts";

/** What commander reads; undefined where it ends with a message. */
function readByCommander(args: readonly string[]): PlainArguments | undefined {
  let found: PlainArguments | undefined;
  const program = new Program().exitOverride().enablePositionalOptions().configureOutput({
    writeOut: () => {},
    writeErr: () => {},
  });
  for (const command of COMMANDS) {
    const run: Command["run"] = (argument, options, _, more) => {
      found = { command, argument, options, more };
      return Promise.resolve();
    };
    addCommand(program, { ...command, run }, () => {});
  }
  try {
    program.parse(withBareValues(args), { from: "user" });
  } catch {
    return undefined;
  }
  return found;
}

Deno.test("readPlainArguments() reads what people write", () => {
  const read = (line: string) => {
    const { command, argument, options } = readPlainArguments(COMMANDS, line.split(" "))!;
    return [command.name, argument, { ...options }];
  };
  assert.deepEqual(read("check"), ["check", undefined, {}]);
  assert.deepEqual(read("dump -t 7 -D /tmp/x -R"), [
    "checkpoint",
    undefined,
    { tree: "7", imagesDir: "/tmp/x", leaveRunning: true },
  ]);
  assert.deepEqual(read("restore --external=a --external b dir --detach"), [
    "restore",
    "dir",
    { external: ["a", "b"], detach: true },
  ]);
  // The value that may be left out is never the next word.
  assert.deepEqual(read("restore --manage-cgroups dir"), [
    "restore",
    "dir",
    { manageCgroups: "soft" },
  ]);
  assert.deepEqual(read("restore --manage-cgroups=full dir"), [
    "restore",
    "dir",
    { manageCgroups: "full" },
  ]);
});

Deno.test("readPlainArguments() leaves everything else to commander", () => {
  for (
    const line of [
      "",
      "--help",
      "help restore",
      "restore --help",
      "chekc",
      "check extra",
      "restore --nonsense",
      "restore a b",
      "restore --detach=1 a",
      "restore -D",
      "restore -D --detach",
      "restore -dn a",
      "restore -- a",
      "restore --remap= a",
    ]
  ) {
    assert.equal(readPlainArguments(COMMANDS, line.split(" ")), undefined, line);
  }
  assert.equal(readPlainArguments(COMMANDS, []), undefined);
});

Deno.test("readPlainArguments() reads nothing in another way than commander does", () => {
  const random = new Mulberry32(9);
  const pick = <T>(list: readonly T[]) => list[random.bits() % list.length] as T;
  let plain = 0;
  for (let round = 0; round < 3000; round++) {
    const command = pick(COMMANDS);
    const flags = [{ flags: "--none" }, ...Object.values(command.options)].flatMap(({ flags }) =>
      flags.replace(/ [<[].*/, "").split(", ")
    );
    const word = () =>
      pick([
        () => pick(flags),
        () => `${pick(flags)}=${pick(["x", "a=b", ""])}`,
        () => pick(flags) + pick(["x", "R", "5"]),
        () => pick(["7", "dir", "a=b", "/a=/b", "", "-", "--", "-1", "é", "--help", "-V"]),
        () => "value",
      ])();
    const args = [pick([command.name, command.alias ?? command.name])];
    for (let left = random.bits() % 6; left > 0; left--) args.push(word());
    const found = readPlainArguments(COMMANDS, args);
    if (found === undefined) continue;
    plain++;
    const expected = readByCommander(args);
    assert.equal(found.command, expected?.command, args.join(" "));
    assert.equal(found.argument, expected?.argument, args.join(" "));
    assert.deepEqual({ ...found.options }, { ...expected?.options }, args.join(" "));
    assert.deepEqual(found.more, expected?.more, args.join(" "));
  }
  assert.ok(plain > 300, `${plain} of them are plain`);
});
