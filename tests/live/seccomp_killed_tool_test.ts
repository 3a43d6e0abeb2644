/**
 * If the tool is killed in the middle, no thread of the target makes a call that its filters forbid.
 *
 * The target's threads make forbidden calls all the time and note any that was let through.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { waitUntil } from "../harness/processes.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { Subject } from "../harness/subject.ts";
import { checkpointAndKill, PLACES } from "./killed_tool.ts";

for (const place of PLACES) {
  Deno.test({
    name: `the tool is killed (${place}): the target never runs with its filters off`,
    ignore: ownInability() !== undefined,
    async fn() {
      await using subject = await Subject.start("seccomp_guard", { args: ["4"] });
      await checkpointAndKill(subject.pid, place);
      if (place === "first thread" || place === "all threads") {
        await new Promise((resolve) => setTimeout(resolve, 300));
        // Nothing was injected: it runs on as if nothing had happened.
        for (const lines of seccompOf(subject.pid).values()) assert.match(lines, /^Seccomp:\t2/);
        await subject.expectPass();
      } else {
        await waitUntil(() => !subject.alive, "the target to die of what was injected");
      }
      assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
    },
  });
}
