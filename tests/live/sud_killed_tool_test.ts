/**
 * If the tool is killed in the middle, no thread of the target runs on without its dispatch or its filters.
 *
 * The target's threads make foreign and forbidden calls all the time and note any that gets to Linux. Under the
 * series both suspensions end with the tracing, and a target in which nothing was injected runs on as it was.
 * Under the ptrace back end dispatch is off while it is suspended, so the target ends with the tool.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { Subject } from "../harness/subject.ts";
import { waitUntil } from "../harness/processes.ts";
import { backend } from "./dispatch.ts";
import { checkpointAndKill, PLACES } from "./killed_tool.ts";

for (const place of PLACES) {
  Deno.test({
    name: `the tool is killed (${place}, back end ${backend.name}): ` +
      "the target never runs with its dispatch or its filters off",
    // Without a back end nothing is ever suspended.
    ignore: ownInability() !== undefined || !backend.usable,
    async fn() {
      await using subject = await Subject.start("sud_guard", { args: ["2"] });
      await checkpointAndKill(subject.pid, place);
      const goesOn = backend.name === "series" &&
        (place === "first thread" || place === "all threads");
      if (goesOn) {
        await new Promise((resolve) => setTimeout(resolve, 300));
        for (const { name } of Deno.readDirSync(`/proc/${subject.pid}/task`)) {
          const status = Deno.readTextFileSync(`/proc/${subject.pid}/task/${name}/status`);
          assert.match(status, /^Syscall_user_dispatch:\t1$/m);
          assert.match(status, /^Seccomp:\t2$/m);
          assert.match(status, /^TracerPid:\t0$/m);
        }
        await subject.expectPass();
      } else {
        await waitUntil(() => !subject.alive, "the target to end with the tool");
      }
      assert.equal(subject.output().includes("LEAKED"), false, subject.output());
    },
  });
}
