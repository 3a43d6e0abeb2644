// SPDX-License-Identifier: MIT
/**
 * CRIU as a peer: `kernel/inside/criu_peer.ts` in the kernel with the series.
 *
 * @module
 */

import { ok, strictEqual } from "@std/assert";
import { buildSubject, subjectNames } from "../../tests/harness/build.ts";
import { inVm } from "./kernels.ts";

/** How many tests have to pass: a run in which every test was ignored ends well, too. */
const AT_LEAST = 42;

Deno.test("Stasis and CRIU restore each other's images", async () => {
  // There is no compiler inside.
  for (const name of await subjectNames()) await buildSubject(name);
  const { status, stdout, stderr } = await inVm(
    "series",
    ["deno", "test", "--no-check", "-A", "kernel/inside/criu_peer.ts"],
    { timeout: 900 },
  );
  console.log(stdout + stderr);
  strictEqual(status, 0);
  const passed = Number(/^ok \| (\d+) passed/m.exec(stdout)?.[1] ?? 0);
  ok(passed >= AT_LEAST, `only ${passed} tests passed`);
});
