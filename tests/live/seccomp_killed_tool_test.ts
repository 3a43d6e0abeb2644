/**
 * If the tool is killed in the middle, the target runs on, and no thread of it makes a call that its filters forbid.
 *
 * The target's threads make forbidden calls all the time and note any that was let through.
 */
import assert from "@std/assert";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { type Act, actAtMoment, killTool } from "../harness/kill_at_call.ts";
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

/** A checkpoint of a subject that leaves it running. */
function saving(subject: Subject, room: ImageRoom): string[] {
  const options = ["--leave-running", "--timeout", "120"];
  return ["checkpoint", String(subject.pid), "-D", room.fresh(), ...options];
}

/**
 * Counts the calls of a tool from the first of those on that it makes in a process under filters: it lets go of a thread
 * and takes it back for each of them, when it has read the filters. How many come before depends on the machine.
 *
 * @returns the number of a call; undefined before them
 */
function fromFirstCalls(): (call: string) => number | undefined {
  let hasRead = false;
  let number: number | undefined;
  return (call) => {
    hasRead ||= call === "ptrace SECCOMP_GET_FILTER";
    if (number !== undefined) number++;
    else if (hasRead && call === "ptrace DETACH") number = 0;
    return number;
  };
}

/** How many calls of the tool there are while it makes its first ones in a subject. */
async function countFirstCalls(subject: Subject, room: ImageRoom): Promise<number> {
  const numberOf = fromFirstCalls();
  let last = 0;
  const { status, stderr } = await actAtMoment(
    saving(subject, room),
    Infinity,
    killTool,
    (call) => {
      const number = numberOf(call);
      if (call === "ptrace SEIZE") last = number ?? 0;
    },
  );
  assert.equal(status.code, 0, stderr);
  assert.ok(last > 0, "there were none");
  return last;
}

/** Does something at one of the first calls. */
function actAtFirstCall(subject: Subject, room: ImageRoom, wanted: number, act: Act) {
  const numberOf = fromFirstCalls();
  return actAtMoment(saving(subject, room), (call) => numberOf(call) === wanted, act);
}

/** Numbers that lie evenly, but for chance, among so many. */
function spread(count: number, among: number): number[] {
  const numbers = Array.from({ length: count }, (_, index) => index);
  return numbers.map((index) => Math.floor((index + Math.random()) * among / count));
}

Deno.test({
  name: "the tool is killed while the first calls are made: none of them meets the filters",
  ignore: ownInability() !== undefined,
  async fn() {
    await using subject = await Subject.start("seccomp_strict");
    const filters = seccompOf(subject.pid);
    using room = new ImageRoom();
    for (const wanted of spread(KILLS, await countFirstCalls(subject, room))) {
      const { call } = await actAtFirstCall(subject, room, wanted, killTool);
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
    let killed = 0;
    for (const wanted of spread(KILLS, await countFirstCalls(subject, room))) {
      const before = takeSnapshot(subject.pid);
      const { status, stderr } = await actAtFirstCall(subject, room, wanted, (tool) => {
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
