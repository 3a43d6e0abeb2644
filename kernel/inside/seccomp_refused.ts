// SPDX-License-Identifier: MIT
/**
 * Runs in the VM, on a kernel without CONFIG_CHECKPOINT_RESTORE: a program under seccomp, which cannot be suspended
 * there, is refused by the survey with the reason, and does not notice.
 *
 * @module
 */

import { deepStrictEqual, match, ok, strictEqual } from "@std/assert";
import { checkpoint } from "../../mod.ts";
import { seccompOf } from "../../tests/harness/seccomp_status.ts";
import { Subject } from "../../tests/harness/subject.ts";
import { assertUnharmed, failureOf, ImageRoom, witness } from "../../tests/harness/unharmed.ts";

Deno.test("a program under seccomp is refused where the kernel cannot suspend that", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("seccomp_guard", { args: ["2"] });
  const directory = room.fresh();
  const before = witness(subject.pid);
  const filters = seccompOf(subject.pid);
  const { code, problems } = await failureOf(checkpoint(subject.pid, { directory }));
  assertUnharmed(before);
  deepStrictEqual(seccompOf(subject.pid), filters);
  room.assertAbsent(directory);
  for (const { plugin, what } of problems) console.log(`${plugin}: ${what}`);
  strictEqual(code, "unsupported");
  const [problem] = problems.filter(({ plugin }) => plugin === "seccomp");
  match(problem?.what ?? "", /cannot be suspended: this kernel refuses PTRACE_O_SUSPEND_SECCOMP/);
  match(problem?.hint ?? "", /CONFIG_CHECKPOINT_RESTORE/);
  // What else is missing on such a kernel is said at the same time.
  ok(problems.some(({ what }) => /this kernel has no \/proc\/\d+\/timers/.test(what)));
  await subject.expectPass();
});
