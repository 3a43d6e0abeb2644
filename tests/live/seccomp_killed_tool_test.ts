/**
 * If the tool is killed in the middle, the target runs on, and no thread of it makes a call that its filters forbid.
 *
 * The target's threads make forbidden calls all the time and note any that was let through.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { actAtMoment, killTool } from "../harness/kill_at_call.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { Subject } from "../harness/subject.ts";
import { ImageRoom } from "../harness/unharmed.ts";
import { checkpointAndKill, PLACES } from "./killed_tool.ts";

for (const place of PLACES) {
  Deno.test({
    name: `the tool is killed (${place}): the target runs on, and never with its filters off`,
    ignore: ownInability() !== undefined,
    async fn() {
      await using subject = await Subject.start("seccomp_guard", { args: ["4"] });
      const filters = seccompOf(subject.pid);
      await checkpointAndKill(subject.pid, place);
      assert.deepEqual(seccompOf(subject.pid), filters);
      await subject.expectPass();
      assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
    },
  });
}

const KILLS = 10;

Deno.test({
  name: "the tool is killed while the first calls are made: none of them meets the filters",
  ignore: ownInability() !== undefined,
  async fn() {
    await using subject = await Subject.start("seccomp_strict");
    const filters = seccompOf(subject.pid);
    using room = new ImageRoom();
    const saving = () => {
      const options = ["--leave-running", "--timeout", "120"];
      return ["checkpoint", String(subject.pid), "-D", room.fresh(), ...options];
    };
    const calls: string[] = [];
    const { status, stderr } = await actAtMoment(saving(), Infinity, killTool, (call) => {
      calls.push(call);
    });
    assert.equal(status.code, 0, stderr);
    // The tool lets go of a thread and takes it back for each of them, when it has read the filters.
    const first = calls.indexOf("ptrace DETACH", calls.lastIndexOf("ptrace SECCOMP_GET_FILTER"));
    const last = calls.lastIndexOf("ptrace SEIZE");
    assert.ok(first >= 0 && last > first, "there were none");
    for (let kill = 0; kill < KILLS; kill++) {
      const moment = first + Math.floor((kill + Math.random()) * (last - first) / KILLS);
      const { call } = await actAtMoment(saving(), moment);
      assert.ok(subject.alive, `it died: the tool was killed at ${call}`);
      assert.deepEqual(seccompOf(subject.pid), filters);
    }
    await subject.expectPass();
    assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
  },
});
