/** If the tool is killed in the middle, a tree whose first threads have ended runs on as it was. */
import { deepEqual } from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { backend } from "./dispatch.ts";
import { checkpointAndKill, PLACES } from "./killed_tool.ts";
import { settled } from "./round_trip.ts";

for (const place of PLACES) {
  Deno.test({
    name: `the tool is killed (${place}): a tree whose first threads have ended runs on`,
    ignore: ownInability() !== undefined || !backend.usable,
    async fn() {
      await using subject = await Subject.start("leaderless");
      const before = await settled(subject.pid);
      await checkpointAndKill(subject.pid, place);
      deepEqual(diffSnapshots(before, takeSnapshot(subject.pid)), []);
      await subject.expectPass();
    },
  });
}
