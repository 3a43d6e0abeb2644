/**
 * What the tests of Syscall User Dispatch share: the back end of the kernel that runs, and what must hold where that
 * cannot suspend dispatch.
 *
 * @module
 */
import assert from "@std/assert";
import { checkpoint } from "../../mod.ts";
import { chooseBackend, hasInclusiveMode } from "../../plugins/sud/choose_backend.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { Subject, type SubjectOptions } from "../harness/subject.ts";
import { assertUnharmed, DISPATCHING, failureOf, ImageRoom, witness } from "../harness/unharmed.ts";

/** The back end of this kernel. */
export const backend = chooseBackend();

/** A thread of sud_leave turns its dispatch on and off all the time; the kernel of the series shows it. */
const LEAVING = /\/status\/Syscall_user_dispatch$/;

/** What comes and goes in a running subject. */
export function restless(name: string): readonly RegExp[] {
  return name === "sud_leave" ? [...DISPATCHING, LEAVING] : DISPATCHING;
}

/** Whether this kernel has the mode of dispatch that a subject wants. */
export function hasModeOf(name: string): boolean {
  return name !== "sud_inclusive" || hasInclusiveMode();
}

/** Where dispatch cannot be suspended a subject that has it is refused with the reason, and does not notice. */
export async function isRefused(name: string, options: SubjectOptions): Promise<void> {
  using room = new ImageRoom();
  await using subject = await Subject.start(name, options);
  for (const leaveRunning of [false, true]) {
    const directory = room.fresh();
    const before = witness(subject.pid);
    const filters = seccompOf(subject.pid);
    const error = await failureOf(checkpoint(subject.pid, { directory, leaveRunning }));
    assertUnharmed(before, restless(name));
    assert.deepEqual(seccompOf(subject.pid), filters);
    room.assertAbsent(directory);
    assert.equal(error.code, "unsupported", error.message);
    for (const { plugin, what, hint } of error.problems) {
      assert.equal(plugin, "sud", what);
      assert.match(what, /Syscall User Dispatch, which this kernel can/);
      assert.match(hint ?? "", /boot Linux 6\.4 or later/);
    }
    // What leaves SIGSYS at its default shows by the first call that is made in it.
    if (error.problems.length === 0) assert.match(error.message, /has Syscall User Dispatch on/);
  }
  await subject.expectPass();
}
