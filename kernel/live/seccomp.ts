// SPDX-License-Identifier: MIT
/**
 * Programs under seccomp on the kernel that cannot suspend it: `kernel/inside/seccomp_refused.ts`.
 *
 * @module
 */

import { match, strictEqual } from "@std/assert";
import { buildSubject } from "../../tests/harness/build.ts";
import { inVm } from "./kernels.ts";

Deno.test("programs under seccomp are refused, unharmed, on the no-cr kernel", async () => {
  // There is no compiler inside.
  await buildSubject("seccomp_guard");
  const { status, stdout, stderr } = await inVm(
    "no-cr",
    ["deno", "test", "--no-check", "-A", "kernel/inside/seccomp_refused.ts"],
  );
  console.log(stdout + stderr);
  strictEqual(status, 0);
  match(stdout, /^ok \| 1 passed/m);
});
