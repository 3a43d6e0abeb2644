/** The warm-up of the tool, on a process of its own. */
import assert from "@std/assert";
import { warmUp } from "../../core/checkpoint/warm_up.ts";
import { definePlugin } from "../../core/plugin.ts";
import type { Rescuer } from "../../core/remote/undo.ts";
import { WARMED_UP_PLUGINS } from "../../plugins/default.ts";
import { isAlive } from "../harness/processes.ts";

Deno.test("warmUp() gets to the end of a freeze, and tells no guardian of a process that is gone afterwards", async () => {
  let pid = 0;
  const last = definePlugin({
    name: "last",
    description: "sees how far it gets",
    after: WARMED_UP_PLUGINS.map(({ name }) => name),
    checkpoint: () => ({ dumpLast: ({ tasks }) => void (pid = tasks[0]?.pid ?? 0) }),
  });
  const refuse = () => assert.fail("it was told of something");
  const rescuer: Rescuer = {
    mark: 1n,
    pids: [],
    noteThreads: refuse,
    noteCall: refuse,
    noteChild: refuse,
    noteMemory: refuse,
    noteOutside: refuse,
    noteEnd: refuse,
    noteSignal: refuse,
    aliveWord: -1,
  };
  await warmUp([...WARMED_UP_PLUGINS, last], {}, rescuer, new AbortController().signal);
  assert.ok(pid > 0, "it did not get there");
  assert.ok(!isAlive(pid));
});
