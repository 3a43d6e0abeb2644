// SPDX-License-Identifier: MIT
/**
 * Incremental images by soft-dirty bits: `kernel/inside/soft_dirty.ts` in a kernel that has nothing better.
 *
 * @module
 */

import { ok, strictEqual } from "@std/assert";
import { buildSubject } from "../../tests/harness/build.ts";
import { inVm } from "./kernels.ts";

/** How many tests have to pass: a run in which every test was ignored ends well, too. */
const AT_LEAST = 4;

Deno.test("soft-dirty bits tell what has changed, and who else clears them is noticed", async () => {
  // There is no compiler inside.
  for (const name of ["pages_changing", "mem_brk"]) await buildSubject(name);
  const { status, stdout, stderr } = await inVm(
    "plain",
    ["deno", "test", "--no-check", "-A", "kernel/inside/soft_dirty.ts"],
    { timeout: 300 },
  );
  console.log(stdout + stderr);
  strictEqual(status, 0);
  const passed = Number(/^ok \| (\d+) passed/m.exec(stdout)?.[1] ?? 0);
  ok(passed >= AT_LEAST, `only ${passed} tests passed`);
});
