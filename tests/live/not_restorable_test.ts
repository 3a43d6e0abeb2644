/**
 * Images that could not be restored here: the checkpoint finds it out while the tree still lives, and leaves both the
 * tree and the disk as they were.
 */
import assert from "@std/assert";
import { definePlugin, type RestoreHooks } from "../../core/plugin.ts";
import { checkpoint, restore } from "../../mod.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { assertUnharmed, failureOf, ImageRoom, witness } from "../harness/unharmed.ts";

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
