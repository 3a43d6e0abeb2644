/**
 * If the tool is killed in the middle, the target runs on with its dispatch and its filters as they were, and no thread
 * of it ever without.
 *
 * The target's threads make foreign and forbidden calls all the time and note any that gets to Linux.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { Subject } from "../harness/subject.ts";
import { dispatchOf } from "../harness/unharmed.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { backend } from "./dispatch.ts";
import { checkpointAndKill, PLACES } from "./killed_tool.ts";

for (const place of PLACES) {
  Deno.test({
    name: `the tool is killed (${place}, back end ${backend.name}): ` +
      "the target runs on, and never with its dispatch or its filters off",
    // Without a back end nothing is ever suspended.
    ignore: ownInability() !== undefined || !backend.usable,
    async fn() {
      await using subject = await Subject.start("sud_guard", { args: ["2"] });
      const dispatch = dispatchOf(subject.pid);
      const filters = seccompOf(subject.pid);
      await checkpointAndKill(subject.pid, place);
      assert.deepEqual(dispatchOf(subject.pid), dispatch);
      assert.deepEqual(seccompOf(subject.pid), filters);
      if (backend.name === "series") {
        for (const { name } of Deno.readDirSync(`/proc/${subject.pid}/task`)) {
          const status = Deno.readTextFileSync(`/proc/${subject.pid}/task/${name}/status`);
          assert.match(status, /^Syscall_user_dispatch:\t1$/m);
        }
      }
      await subject.expectPass();
      assert.equal(subject.output().includes("LEAKED"), false, subject.output());
    },
  });
}
