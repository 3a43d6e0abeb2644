// SPDX-License-Identifier: MIT
/**
 * A sample of `tests/live/kill_test.ts` on both kernels, a kill or two of each subject: the tool is killed at moments of a checkpoint, and the guardian
 * puts the target back with the back end `series`, and without any.
 *
 * @module
 */

import { ok, strictEqual } from "@std/assert";
import { buildSubject } from "../../tests/harness/build.ts";
import { inVm } from "./kernels.ts";

/** Subjects by kernel; those with dispatch are refused where nothing can suspend it. */
const SUBJECTS = {
  plain: ["sig_altstack", "seccomp_guard"],
  series: ["seccomp_guard", "sud_guard"],
} as const;

for (const variant of ["plain", "series"] as const) {
  Deno.test(`targets survive the death of the tool on the ${variant} kernel`, async () => {
    const subjects = SUBJECTS[variant];
    // There is no compiler inside.
    for (const name of subjects) await buildSubject(name);
    const filter = `--filter=/^(${subjects.join("|")}) .*wherever the tool is killed/`;
    const { status, stdout, stderr } = await inVm(
      variant,
      ["deno", "test", "--no-check", "-A", filter, "tests/live/kill_test.ts"],
      { timeout: 900, env: { STASIS_KILLS: "50" } },
    );
    console.log(stdout + stderr);
    strictEqual(status, 0);
    const passed = Number(/^ok \| (\d+) passed/m.exec(stdout)?.[1] ?? 0);
    ok(passed >= subjects.length, `only ${passed} tests passed`);
  });
}
