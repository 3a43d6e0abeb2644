// SPDX-License-Identifier: MIT
/**
 * Runs in the VM, on a kernel without CONFIG_CHECKPOINT_RESTORE: a program under seccomp, which cannot be suspended
 * there, is refused by the survey with the reason, and does not notice.
 *
 * @module
 */

import { deepStrictEqual, match, ok } from "@std/assert";
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
  const { code, message, problems } = await failureOf(checkpoint(subject.pid, { directory }));
  assertUnharmed(before);
  deepStrictEqual(seccompOf(subject.pid), filters);
  room.assertAbsent(directory);
  // Without checkpoint/restore in the kernel something else may be missed first.
  console.log(`${code}: ${message}`);
  ok(code === "unsupported" || code === "kernel-too-old", message);
  if (code === "kernel-too-old") return await subject.expectPass().then(() => {});
  const [problem] = problems.filter(({ plugin }) => plugin === "seccomp");
  match(problem?.what ?? "", /cannot be suspended: this kernel refuses PTRACE_O_SUSPEND_SECCOMP/);
  match(problem?.hint ?? "", /CONFIG_CHECKPOINT_RESTORE/);
  await subject.expectPass();
});
