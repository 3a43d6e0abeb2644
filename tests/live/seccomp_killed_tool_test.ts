/**
 * If the tool is killed in the middle, no thread of the target makes a call that its filters forbid.
 *
 * The target's threads make forbidden calls all the time and note any that was let through.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { Subject } from "../harness/subject.ts";
import { checkpointAndKill, PLACES } from "./killed_tool.ts";

for (const place of PLACES) {
  Deno.test({
    name: `the tool is killed (${place}): the target never runs with its filters off`,
    ignore: ownInability() !== undefined,
    async fn() {
      await using subject = await Subject.start("seccomp_guard", { args: ["4"] });
      await checkpointAndKill(subject.pid, place);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
      if (place === "first thread" || place === "all threads") {
        // Nothing was injected: it runs on as if nothing had happened.
        await subject.expectPass();
      } else if (subject.alive) {
        const status = Deno.readTextFileSync(`/proc/${subject.pid}/status`);
        assert.match(status, /^Seccomp:\t2$/m);
        assert.match(status, /^TracerPid:\t0$/m);
      }
    },
  });
}
