/**
 * A root directory of its own for programs that would look at all of the machine, or change it.
 *
 * @module
 */
import assert from "@std/assert";
import { dirname } from "node:path";

/**
 * Puts programs, each with the libraries that it needs, into a root directory, where they have the same names.
 *
 * @param env in which the libraries are found; in there the same finds them
 */
export function furnish(
  root: string,
  programs: readonly string[],
  env: Readonly<Record<string, string>> = {},
): void {
  for (const program of programs) {
    const { success, stdout } = new Deno.Command("ldd", { args: [program], env }).outputSync();
    assert.ok(success, `ldd ${program} failed`);
    // Beside their paths it tells addresses.
    const libraries = new TextDecoder().decode(stdout).match(/\/\S+/g) ?? [];
    for (const name of [program, ...libraries]) put(root, name);
  }
}

/** Copies a file of the machine to the same place in a root directory. */
export function put(root: string, name: string): void {
  Deno.mkdirSync(dirname(root + name), { recursive: true });
  Deno.copyFileSync(name, root + name);
}
