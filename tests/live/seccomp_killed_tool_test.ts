/**
 * If the tool is killed in the middle, the target runs on, and no thread of it makes a call that its filters forbid.
 *
 * The target's threads make forbidden calls all the time and note any that was let through.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { actAtMoment, killTool } from "../harness/kill_at_call.ts";
import { processTree } from "../harness/processes.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { Subject } from "../harness/subject.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { ImageRoom } from "../harness/unharmed.ts";
import { checkpointAndKill, PLACES } from "./killed_tool.ts";

/** The process that traces in the place of a tool, if there is one. */
function standInOf(tool: number): number | undefined {
  const isStandIn = (pid: number) =>
    Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith("stasis-stand-in\0");
  return processTree(tool).find((pid) => pid !== tool && isStandIn(pid));
}

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

const KILLS = 8;

/** A checkpoint of a subject that leaves it running, and at which moments its first calls are made. */
async function firstCalls(subject: Subject, room: ImageRoom) {
  const saving = (): string[] => {
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
  const moments = Array.from(
    { length: KILLS },
    (_, kill) => first + Math.floor((kill + Math.random()) * (last - first) / KILLS),
  );
  return { saving, moments };
}

Deno.test({
  name: "the tool is killed while the first calls are made: none of them meets the filters",
  ignore: ownInability() !== undefined,
  async fn() {
    await using subject = await Subject.start("seccomp_strict");
    const filters = seccompOf(subject.pid);
    using room = new ImageRoom();
    const { saving, moments } = await firstCalls(subject, room);
    for (const moment of moments) {
      const { call } = await actAtMoment(saving(), moment);
      assert.ok(subject.alive, `it died: the tool was killed at ${call}`);
      assert.deepEqual(seccompOf(subject.pid), filters);
    }
    await subject.expectPass();
    assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
  },
});

Deno.test({
  name:
    "who traces in the tool's place is killed: a target whose filters allow the calls is left as it was",
  ignore: ownInability() !== undefined,
  async fn() {
    await using subject = await Subject.start("seccomp_guard", { args: ["4"] });
    const filters = seccompOf(subject.pid);
    using room = new ImageRoom();
    const { saving, moments } = await firstCalls(subject, room);
    let killed = 0;
    for (const moment of moments) {
      const before = takeSnapshot(subject.pid);
      const { status, stderr } = await actAtMoment(saving(), moment, (tool) => {
        const standIn = standInOf(tool);
        if (standIn === undefined) return;
        Deno.kill(standIn, "SIGKILL");
        killed++;
      });
      // 11: the tool says that it was killed.
      assert.ok([0, 11].includes(status.code), stderr);
      assert.deepEqual(diffSnapshots(before, takeSnapshot(subject.pid)), []);
      assert.deepEqual(seccompOf(subject.pid), filters);
    }
    assert.ok(killed > 0, "there was none to be killed");
    await subject.expectPass();
    assert.equal(subject.output().includes("LEAKED"), false, "a forbidden call went through");
  },
});
