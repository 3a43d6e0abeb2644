/** The page on plugins names every hook of the contract, and no others. */
import { deepEqual } from "@std/assert";

const read = (path: string) => Deno.readTextFileSync(new URL(path, import.meta.url));

/** The members of an interface of the contract. */
function members(file: string, name: string): string[] {
  const text = read(`../core/contract/${file}.ts`);
  const body = text.split(`export interface ${name} {\n`)[1]?.split("\n}\n")[0] ?? "";
  return Array.from(body.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm), ([, member]) => member!);
}

/** The hooks in the first column of the table behind a line. */
function named(line: string): string[] {
  const table = read("plugins.md").split(line)[1]?.trimStart().split("\n\n")[0] ?? "";
  const cells = table.split("\n").slice(2).map((row) => row.split("|")[1] ?? "");
  const names = cells.flatMap((cell) =>
    Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name!)
  );
  return [
    ...new Set(names.filter((name) => !name.startsWith(".")).map((name) => name.split("[")[0]!)),
  ];
}

Deno.test("docs/plugins.md lists the hooks of a checkpoint and of a restore", () => {
  for (
    const [name, file, line] of [
      [
        "CheckpointHooks",
        "checkpoint",
        "`checkpoint(session: CheckpointSession): CheckpointHooks`:",
      ],
      ["RestoreHooks", "restore", "`restore(session: RestoreSession): RestoreHooks`:"],
    ] as const
  ) {
    const expected = members(file, name);
    deepEqual(expected.length > 10, true, name);
    deepEqual(named(line).sort(), expected.sort(), name);
  }
});
