/** That docs/json.md has the fields that are printed, no more and no fewer. */

import { deepEqual } from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { errorJson } from "../cli/error_text.ts";

const ROOT = new URL("../", import.meta.url);
const read = (path: string) => Deno.readTextFileSync(new URL(path, ROOT));
const DOC = read("docs/json.md");

/** The fields of the tables below a heading, table by table. */
function documented(heading: string): string[][] {
  const section = DOC.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return section.trim().split(/\n\n/).filter((part) => part.startsWith("| field")).map((table) =>
    [...table.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name as string)
  );
}

/** The fields of an interface, those of the one that it extends apart. */
function fieldsOf(path: string, name: string): string[] {
  const body = new RegExp(`export interface ${name}\\b[^{]*\\{\\n([^]*?)\\n\\}`).exec(read(path))
    ?.[1];
  return [...(body ?? "").matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field]) =>
    field as string
  );
}

/** The fields of what a command hands to toJson(), in the order in which they stand there. */
function printed(path: string): string[][] {
  return [...read(path).matchAll(/toJson\(\{ ([^}]*) \}\)/g)].map(([, fields]) =>
    (fields as string).split(", ").map((field) => field.replace(/:.*/, ""))
  );
}

Deno.test("docs/json.md has the fields of errors and their problems", () => {
  const { error } = errorJson(new StasisError("io", "it failed"));
  deepEqual(documented("An error"), [
    Object.keys(error),
    fieldsOf("base/errors.ts", "Problem"),
  ]);
});

Deno.test("docs/json.md has the fields of each command's result", () => {
  deepEqual(documented("stasis checkpoint"), [
    fieldsOf("core/checkpoint/checkpoint.ts", "CheckpointResult"),
  ]);
  const [dryRun, detached, waited] = printed("cli/restore.ts");
  deepEqual(documented("stasis restore"), [waited, dryRun]);
  deepEqual(waited?.slice(0, -1), detached);
  deepEqual(documented("stasis check"), [[
    ...fieldsOf("core/check.ts", "CheckReport"),
    ...fieldsOf("check.ts", "CheckReport"),
    "usable",
  ]]);
  deepEqual(documented("stasis ps"), [fieldsOf("core/checkpoint/survey_only.ts", "Verdict")]);
  deepEqual(documented("stasis inspect"), [fieldsOf("cli/inspect/model.ts", "InspectedImages")]);
  deepEqual(documented("stasis diff"), [fieldsOf("cli/diff/changes.ts", "TreeDiff")]);
});
