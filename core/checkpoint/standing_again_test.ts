import { deepEqual, equal, notEqual, throws } from "@std/assert";
import { Cancellation } from "../cancellation.ts";
import type { Hooked } from "../hooks.ts";
import { readStat, readStatus } from "../linux/procfs/mod.ts";
import type { CheckpointHooks } from "../plugin.ts";
import { StandingAgain } from "./standing_again.ts";

Deno.test("begin() has the tree stand still, and touches no other process that has its root's pid", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  try {
    const { pid } = child;
    const { startTime } = readStat(pid);
    const cancellation = new Cancellation(new AbortController().signal);
    const stopped: number[] = [];
    const plugin = { name: "probe", description: "" };
    const hooks: CheckpointHooks = { stopThread: ({ tid }) => void stopped.push(tid) };
    const hooked: Hooked<CheckpointHooks>[] = [{ plugin, hooks }];
    using other = new StandingAgain({ pid, startTime: startTime - 1n }, 1, hooked, cancellation);
    throws(() => other.begin(), { code: "no-such-task" });
    deepEqual(stopped, []);
    equal(other.end(), 0);
    using same = new StandingAgain({ pid, startTime }, 1, hooked, cancellation);
    same.begin();
    deepEqual(stopped, [pid]);
    notEqual(readStatus(pid).tracerPid, 0);
    same.end();
    equal(readStatus(pid).tracerPid, 0);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});
