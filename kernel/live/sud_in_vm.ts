// SPDX-License-Identifier: MIT
/**
 * The repository's live tests of dispatch, `tests/live/sud*_test.ts`, on both kernels: the same list with
 * the back end `series` on the patched one and `none` on the other.
 *
 * @module
 */

import { strictEqual } from "@std/assert";
import { join } from "node:path";
import { buildSubject, subjectNames } from "../../tests/harness/build.ts";
import { VARIANTS } from "../build/series.ts";
import { exists } from "../command.ts";
import { REPOSITORY } from "../paths.ts";
import { inVm } from "./kernels.ts";

const files = await liveTests();

for (const variant of VARIANTS) {
  Deno.test({
    name: files.length > 0
      ? `the live tests of dispatch pass on the ${variant} kernel`
      : `NOT RUN on the ${variant} kernel: there is no tests/live/sud*_test.ts`,
    ignore: files.length === 0,
    async fn() {
      // There is no compiler inside.
      for (const name of await subjectNames()) await buildSubject(name);
      const { status, stdout, stderr } = await inVm(
        variant,
        ["deno", "test", "--no-check", "-A", ...files],
        { timeout: 900 },
      );
      console.log(stdout + stderr);
      strictEqual(status, 0);
    },
  });
}

async function liveTests(): Promise<string[]> {
  const directory = join(REPOSITORY, "tests/live");
  const found: string[] = [];
  if (!await exists(directory)) return found;
  for await (const { name } of Deno.readDir(directory)) {
    if (/^sud.*_test\.ts$/.test(name)) found.push(join("tests/live", name));
  }
  return found.sort();
}
