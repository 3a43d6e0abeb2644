/**
 * Images that could not be restored here: the checkpoint finds it out while the tree still lives, and leaves both the
 * tree and the disk as they were.
 */
import assert from "@std/assert";
import { EXIT_STATUS } from "../../base/errors.ts";
import { definePlugin, type RestoreHooks } from "../../core/plugin.ts";
import { checkpoint, restore } from "../../mod.ts";
import { processTree } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { assertUnharmed, failureOf, ImageRoom, witness } from "../harness/unharmed.ts";
import { becomesSleep } from "./round_trip.ts";

/** A plugin that has something against every restore. */
function objecting(hooks: RestoreHooks) {
  return definePlugin({ name: "objector", description: "objects", restore: () => hooks });
}

for (const leaveRunning of [false, true]) {
  const how = leaveRunning ? "that lets the tree run on" : "that ends the tree";
  Deno.test(`checkpoint() ${how} refuses what could not be restored, with all reasons`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start("sud_threads", { args: ["3"] });
    const before = witness(subject.pid);
    const directory = room.fresh();
    const hooks: RestoreHooks = {
      load({ problem }) {
        problem({ pid: subject.pid, what: "it has a first fault" });
        problem({ what: "there is a second one", hint: "mend it" });
      },
    };
    const settings = { directory, leaveRunning, plugins: [objecting(hooks)] };
    const error = await failureOf(checkpoint(subject.pid, settings));
    assert.equal(error.code, "unsupported");
    assert.equal(
      error.message,
      `the images of task ${subject.pid} could not be restored here, so it runs on`,
    );
    assert.deepEqual(error.problems.map(({ what, plugin }) => [plugin, what]), [
      ["objector", "it has a first fault"],
      ["objector", "there is a second one"],
    ]);
    room.assertAbsent(directory);
    await assertUnharmed(before);
    await subject.expectPass();
  });

  Deno.test(`checkpoint() ${how} refuses what could not be planned`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start("sud_threads", { args: ["3"] });
    const before = witness(subject.pid);
    const directory = room.fresh();
    const hooks: RestoreHooks = {
      descriptors: [{
        kind: "anything",
        restores: () => true,
        plan: () => 0,
      }],
    };
    const settings = { directory, leaveRunning, plugins: [objecting(hooks)] };
    const error = await failureOf(checkpoint(subject.pid, settings));
    assert.equal(error.code, "unsupported");
    assert.match(
      error.message,
      /could not be restored here, so it runs on: .* restored by .* and objector$/,
    );
    room.assertAbsent(directory);
    await assertUnharmed(before);
    await subject.expectPass();
  });
}

for (const why of ["timeout", "cancelled"] as const) {
  Deno.test(`checkpoint() does not let a tree stand still while its restore is looked at: ${why}`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start("sud_threads", { args: ["3"] });
    const before = witness(subject.pid);
    const directory = room.fresh();
    const controller = new AbortController();
    const plugin = definePlugin({
      name: "sluggard",
      description: "takes its time",
      restore: ({ check }) => ({
        load() {
          if (why === "cancelled") controller.abort();
          while (true) check();
        },
      }),
    });
    const { signal } = controller;
    const options = { timeout: why === "timeout" ? 3000 : 0 };
    const settings = { directory, plugins: [plugin], signal, options };
    const error = await failureOf(checkpoint(subject.pid, settings));
    assert.equal(error.code, why);
    room.assertAbsent(directory);
    await assertUnharmed(before);
    await subject.expectPass();
  });
}

Deno.test("checkpoint() tells the plugins of a restore that it is none, and notes nothing twice", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("unix_service", { args: ["stream"] });
  const rehearsals: boolean[] = [];
  const plugin = definePlugin({
    name: "listener",
    description: "listens",
    restore({ rehearsal, note }) {
      rehearsals.push(rehearsal);
      return { load: () => note("this is only for a real restore") };
    },
  });
  const notes: string[] = [];
  const onEvent = (event: { kind: string; text?: string }) => {
    if (event.kind === "note") notes.push(event.text ?? "");
  };
  const directory = room.fresh();
  await checkpoint(subject.pid, { directory, plugins: [plugin], onEvent });
  assert.deepEqual([rehearsals, notes], [[true], []]);
  const tree = await restore(directory, { plugins: [plugin], onEvent });
  assert.deepEqual([rehearsals, notes], [[true, false], ["this is only for a real restore"]]);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("checkpoint() refuses more descriptors than could be built by a restore here", async () => {
  using room = new ImageRoom();
  // A restore needs twice as many numbers, and nobody here may have more than the limit.
  const script =
    'ulimit -n 300; for ((fd = 10; fd < 210; fd++)); do eval "exec $fd</dev/null"; done; ' +
    "echo ready; while :; do sleep 0.1; done";
  await using subject = await Subject.spawn("bash", { args: ["-c", script] });
  await subject.waitReady();
  const directory = room.fresh();
  const args = ["checkpoint", String(subject.pid), "-D", directory];
  const refused = await stasis(args, { descriptors: 300 });
  assert.equal(refused.status, 4, refused.stderr);
  assert.match(refused.stderr, /leave too few numbers free to build it: 300 may be open here/);
  room.assertAbsent(directory);
  assert.ok(subject.alive);
  const saved = await stasis(args, { descriptors: 900 });
  assert.equal(saved.status, 0, saved.stderr);
  const back = await stasis(["restore", directory, "--detach"], { descriptors: 900 });
  assert.equal(back.status, 0, back.stderr);
});

/** A shell with a file of `/proc` of a process group's leader, which ends; `$member` goes on in the group. */
const LEADER_GONE = `
set -m
sleep 1000 | sleep 2000 & leader=$(jobs -p) member=$!
exec 9</proc/$leader/status
kill -9 $leader
while [ -e /proc/$leader ]; do sleep 0.01; done
echo $leader $member > ids
echo ready
while :; do wait $member; done`;

Deno.test("a checkpoint refuses a file of /proc of a dead task whose id its group needs, too", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.spawn("/bin/bash", { args: ["-c", LEADER_GONE] });
  await subject.waitReady();
  const [leader, member] = Deno.readTextFileSync(`${subject.cwd}/ids`).split(" ").map(Number);
  await becomesSleep(member as number);
  const before = witness(subject.pid);
  const directory = room.fresh();
  const error = await failureOf(checkpoint(subject.pid, { directory }));
  assert.equal(error.code, "unsupported", error.message);
  assert.deepEqual(error.problems.map(({ pid, plugin }) => [pid, plugin]), [[leader, "core"]]);
  assert.match(error.problems[0]!.what, /another one must have that id/);
  room.assertAbsent(directory);
  await assertUnharmed(before);
});

Deno.test("a checkpoint of process 1 refuses a file of /proc of a dead task", async () => {
  using room = new ImageRoom();
  const script = `
    sleep 1000 & one=$!
    exec 9</proc/$one/status
    kill -9 $one; wait $one
    echo ready
    while :; do sleep 1000; done`;
  const words = ["--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", script];
  await using subject = await Subject.spawn("unshare", { args: words });
  await subject.waitReady();
  const [, init] = processTree(subject.pid);
  const { status, stderr } = await stasis(["checkpoint", "1", "-R", "-D", room.fresh()], {
    through: ["nsenter", `--target=${init}`, "--pid", "--mount", "--"],
  });
  assert.equal(status, EXIT_STATUS.unsupported, stderr);
  assert.match(stderr, /which is gone, is in use, and .* process 1, is there/);
});
