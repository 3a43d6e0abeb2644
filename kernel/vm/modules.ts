// SPDX-License-Identifier: MIT
/**
 * The modules that programs inside import. There is no network in the VM, so a module cache is filled
 * outside and handed in.
 *
 * @module
 */

import { join } from "node:path";
import { exists, hashOf, run } from "../command.ts";
import { REPOSITORY, VM_CACHE } from "../paths.ts";

/** A `DENO_DIR` that has every package that `deno.json` and `deno.lock` name. */
export async function ensureModules(): Promise<string> {
  const directory = join(VM_CACHE, "deno");
  const stamp = join(directory, "stasis-stamp");
  const packages = await npmPackages();
  const wanted = await hashOf([Deno.version.deno, ...packages]);
  if (await exists(stamp) && await Deno.readTextFile(stamp) === wanted) return directory;
  await Deno.mkdir(directory, { recursive: true });
  await run([Deno.execPath(), "cache", "--quiet", "--no-lock", ...packages], {
    cwd: REPOSITORY,
    env: { DENO_DIR: directory },
  });
  await Deno.writeTextFile(stamp, wanted);
  return directory;
}

/**
 * The specifiers of all packages. Those of the lock file are needed even where nothing imports them:
 * with a lock file, the first `import()` of any package wants to see all of them.
 */
async function npmPackages(): Promise<string[]> {
  const { imports = {} } = await readJson("deno.json") as { imports?: Record<string, string> };
  const { specifiers = {} } = await readJson("deno.lock") as {
    specifiers?: Record<string, string>;
  };
  const named = [...Object.values(imports), ...Object.keys(specifiers)];
  return [...new Set(named.filter((specifier) => /^npm:[^/]/.test(specifier)))].sort();
}

/** A JSON file of the repository; an absent one is empty. */
async function readJson(name: string): Promise<object> {
  const path = join(REPOSITORY, name);
  return await exists(path) ? JSON.parse(await Deno.readTextFile(path)) : {};
}
