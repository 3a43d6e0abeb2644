/**
 * Writes a plugin to begin with, and its test.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { withNewFile } from "../ui/new_file.ts";
import { CONFIG } from "../script/module_files.ts";
import template from "./template/mydevice.ts" with { type: "text" };
import templateTest from "./template/mydevice_test.ts" with { type: "text" };

/** The files of a new plugin: names and contents. @throws {StasisError} `usage` of a name that no plugin can have */
export function newPlugin(name: string): ReadonlyMap<string, string> {
  if (!/^[a-z][a-z0-9_-]*$/.test(name)) {
    throw new StasisError("usage", `"${name}" is no name for a plugin`, {
      hint: "lower-case letters first, then also digits, - and _",
    });
  }
  const fill = (text: string) =>
    text.replaceAll("mydevice", name)
      .replaceAll("MYDEVICE", name.toUpperCase().replaceAll("-", "_"));
  return new Map([[`${name}.ts`, fill(template)], [`${name}_test.ts`, fill(templateTest)]]);
}

/**
 * Writes them into the working directory, and what an editor finds the types of "stasis" by, unless something says
 * there already what names mean.
 *
 * @returns their names
 * @throws {StasisError} `usage`; `exists`, `io`: the first may be there then
 */
export function writePlugin(name: string): string[] {
  const files = new Map(newPlugin(name));
  const entries = [...Deno.readDirSync(".")].map(({ name }) => name);
  if (!["deno.json", "deno.jsonc", "package.json"].some((one) => entries.includes(one))) {
    files.set("deno.json", `${JSON.stringify({ importMap: CONFIG })}\n`);
  }
  for (const [path, text] of files) {
    withNewFile(path, (file) => file.write(new TextEncoder().encode(text), 0n), 0o644);
  }
  return [...files.keys()];
}
