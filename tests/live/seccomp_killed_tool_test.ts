/**
 * If the tool is killed in the middle, the target runs on, and no thread of it makes a call that its filters forbid.
 *
 * The target's threads make forbidden calls all the time and note any that was let through.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { Subject } from "../harness/subject.ts";
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
