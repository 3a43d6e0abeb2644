// SPDX-License-Identifier: MIT
/**
 * The repository's live tests of dispatch, `tests/live/sud*_test.ts`, on both kernels: the same list, plain and
 * under seccomp, with the back end `series` on the patched one and `none` on the other.
 *
 * @module
 */

import { ok, strictEqual } from "@std/assert";
import { join } from "node:path";
import { buildProgram, buildSubject, subjectNames } from "../../tests/harness/build.ts";
import { sandboxedVariants } from "../../tests/harness/sandbox.ts";
import { exists } from "../command.ts";
import { REPOSITORY } from "../paths.ts";
import { inVm } from "./kernels.ts";

const files = await liveTests();

/** How many tests have to pass. Without a back end each of the list is refused; with one it is tested twice. */
const AT_LEAST = { series: 135, plain: 65 } as const;

for (const variant of ["plain", "series"] as const) {
  Deno.test({
    name: files.length > 0
      ? `the live tests of dispatch pass on the ${variant} kernel`
      : `NOT RUN on the ${variant} kernel: there is no tests/live/sud*_test.ts`,
    ignore: files.length === 0,
    async fn() {
      // There is no compiler inside.
      for (const name of await subjectNames()) await buildSubject(name);
      for (const { name, flags } of sandboxedVariants()) await buildSubject(name, flags);
      await buildProgram(join(REPOSITORY, "examples/emulator/emulator.c"));
      const { status, stdout, stderr } = await inVm(
        variant,
        ["deno", "test", "--no-check", "-A", ...files],
        { timeout: 900 },
      );
      console.log(stdout + stderr);
      strictEqual(status, 0);
      // A run in which every test was ignored ends well, too.
      const passed = Number(/^ok \| (\d+) passed/m.exec(stdout)?.[1] ?? 0);
      ok(passed >= AT_LEAST[variant], `only ${passed} tests passed`);
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
