/**
 * A checkpoint that fails, wherever it fails: the target runs on as it was, and nothing is left of the
 * checkpoint on the disk, in the target or in the tool.
 */

import assert from "@std/assert";
import { runCheckpoint } from "../../core/checkpoint/checkpoint.ts";
import { StasisError } from "../../base/errors.ts";
import type { StasisEvent } from "../../base/events.ts";
import { type CheckpointHooks, definePlugin, type Plugin } from "../../core/plugin.ts";
import { checkpoint, DEFAULT_PLUGINS } from "../../mod.ts";
import { withSmallDisk } from "../harness/small_disk.ts";
import { Subject } from "../harness/subject.ts";
import { assertUnharmed, failureOf, ImageRoom, witness } from "../harness/unharmed.ts";

/** Targets with much to lose. */
const TARGETS: readonly { name: string; args: readonly string[] }[] = [
  { name: "sud_threads", args: ["4"] },
  { name: "restart_futex", args: ["forever"] },
  { name: "sig_pending", args: [] },
  { name: "mem_memfd", args: [] },
  { name: "tree_many", args: ["6"] },
  { name: "unix_pairs", args: ["stream"] },
  { name: "unix_service", args: ["seqpacket"] },
];

/** Runs a checkpoint that must fail, and sees to it that the subject has not noticed. */
async function failsUnharmed(
  subject: Subject,
  room: ImageRoom,
  run: (directory: string) => Promise<unknown>,
): Promise<StasisError> {
  const directory = room.fresh();
  const before = witness(subject.pid);
  const error = await failureOf(run(directory));
  assertUnharmed(before);
  room.assertAbsent(directory);
  return error;
}

class Sabotage extends Error {
  override readonly message = "sabotage";
}

function sabotage(): never {
  throw new Sabotage();
}

/** Where a plugin can fail, and hooks that do so there. */
const FAILING_HOOKS: Readonly<Record<string, CheckpointHooks>> = {
  survey: { survey: sabotage },
  "survey of the frozen tree": { survey: ({ frozen }) => frozen ? sabotage() : undefined },
  freezeThreads: { freezeThreads: sabotage },
  collectTask: { collectTask: sabotage },
  collectThread: { collectThread: sabotage },
  "a collected callback": {
    collectThread: (_, program) => {
      program.try("getpid");
      return sabotage;
    },
  },
  "a required call of a program": {
    collectThread: (_, program) => void program.call("close", -1),
  },
  dumpTask: { dumpTask: sabotage },
  dumpTree: { dumpTree: () => Promise.reject(new Sabotage()) },
  pages: { pages: sabotage },
  dumpLast: { dumpLast: sabotage },
  conclude: { conclude: () => Promise.reject(new Sabotage()) },
};

/** A plugin that runs after all others. */
function last(hooks: CheckpointHooks): Plugin {
  return definePlugin({
    name: "saboteur",
    description: "fails",
    after: DEFAULT_PLUGINS.map(({ name }) => name),
    checkpoint: () => hooks,
  });
}

for (const { name, args } of TARGETS) {
  Deno.test(`checkpoint() leaves ${name} unharmed whichever hook fails`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start(name, { args });
    for (const [where, hooks] of Object.entries(FAILING_HOOKS)) {
      for (const leaveRunning of [false, true]) {
        const plugins = [last(hooks)];
        const error = await failsUnharmed(
          subject,
          room,
          (directory) => checkpoint(subject.pid, { directory, plugins, leaveRunning }),
        );
        if (where === "a required call of a program") {
          assert.equal(error.code, "syscall");
          assert.match(error.message, /close\(-1\) = -1 EBADF/);
          assert.equal(error.errno, "EBADF");
          continue;
        }
        assert.equal(error.code, "internal", where);
        assert.equal(error.message, "plugin saboteur failed: sabotage", where);
        assert.equal(error.plugin, "saboteur", where);
        assert.ok(error.cause instanceof Sabotage, where);
      }
    }
    await subject.expectPass();
  });

  Deno.test(`checkpoint() leaves ${name} unharmed wherever it is cancelled`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start(name, { args });
    let cancelled = 0;
    for (let at = 1; at < 1000; at++) {
      const controller = new AbortController();
      let seen = 0;
      const told: StasisEvent[] = [];
      const onEvent = (event: StasisEvent) => {
        told.push(event);
        if (++seen === at) controller.abort();
      };
      const directory = room.fresh();
      const before = witness(subject.pid);
      const { signal } = controller;
      let error: unknown;
      try {
        await checkpoint(subject.pid, { directory, leaveRunning: true, signal, onEvent });
      } catch (thrown) {
        error = thrown;
      }
      assertUnharmed(before);
      if (error === undefined) {
        // The images were safe already; so they are there, and whole.
        assert.ok(Deno.statSync(`${directory}/inventory.img`).isFile);
        Deno.removeSync(directory, { recursive: true });
        if (seen < at) break;
        continue;
      }
      if (!(error instanceof StasisError)) throw error;
      assert.equal(error.code, "cancelled");
      assert.equal(error.exitStatus, 130);
      room.assertAbsent(directory);
      cancelled++;
    }
    assert.ok(cancelled >= 5, `cancelled at ${cancelled} events only`);
    await subject.expectPass();
  });
}

Deno.test("checkpoint() leaves a tree that it was to kill unharmed when cancelled at the last moment", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("sud_block");
  for (const phase of ["survey", "freeze", "dump", "pages", "commit"]) {
    const controller = new AbortController();
    const error = await failsUnharmed(subject, room, (directory) =>
      checkpoint(subject.pid, {
        directory,
        signal: controller.signal,
        onEvent: (event) => {
          if (event.kind === "phase" && event.phase === phase) controller.abort();
        },
      }));
    assert.equal(error.code, "cancelled", phase);
  }
  await subject.expectPass();
});

Deno.test("checkpoint() can be cancelled before it begins", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("sud_block");
  const error = await failsUnharmed(
    subject,
    room,
    (directory) => checkpoint(subject.pid, { directory, signal: AbortSignal.abort() }),
  );
  assert.equal(error.code, "cancelled");
  await subject.expectPass();
});

Deno.test("checkpoint() survives a plugin that fails in a descriptor's dump", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("eventfd");
  const real = DEFAULT_PLUGINS.find(({ name }) => name === "eventfd");
  assert.ok(real?.checkpoint !== undefined);
  const plugins = DEFAULT_PLUGINS.map((plugin) =>
    plugin !== real ? plugin : definePlugin({
      ...real,
      checkpoint: (session) => {
        const hooks = real.checkpoint?.(session) ?? {};
        const descriptors = hooks.descriptors?.map((dumper) => ({
          ...dumper,
          claims: dumper.claims.bind(dumper),
          dump: sabotage,
        }));
        return { ...hooks, descriptors };
      },
    })
  );
  const { signal } = new AbortController();
  const error = await failsUnharmed(subject, room, (directory) =>
    runCheckpoint({
      pid: subject.pid,
      directory,
      plugins,
      options: {},
      signal,
      listener: () => {},
    }));
  assert.equal(error.message, "plugin eventfd failed: sabotage");
  await subject.expectPass();
});

Deno.test("checkpoint() leaves the target unharmed when the disk fills up, wherever", async (t) => {
  using room = new ImageRoom();
  await using subject = await Subject.start("mem_anon", { args: ["8"] });
  const places = new Set<string>();
  await withSmallDisk(room.path, t, async (disk) => {
    const limits = [
      ...[8, 16, 24, 32, 40, 64, 96, 128, 256, 1024, 4096].map((kib) => `size=${kib}k`),
      ...[2, 3, 4, 5, 6, 8, 10].map((count) => `nr_inodes=${count}`),
    ];
    for (const limit of limits) {
      disk.limit(limit);
      const before = witness(subject.pid);
      const error = await failureOf(
        checkpoint(subject.pid, { directory: `${disk.path}/images`, leaveRunning: true }),
      );
      assertUnharmed(before);
      assert.deepEqual([...Deno.readDirSync(disk.path)], [], limit);
      assert.equal(error.code, "io", `${limit}: ${error.message}`);
      assert.equal(error.errno, "ENOSPC", `${limit}: ${error.message}`);
      assert.match(error.message, /ENOSPC/);
      assert.ok(error.hint !== undefined, `${limit}: ${error.message} has no hint`);
      const file = /([a-z-]+)(?:-[0-9]+)?\.img/.exec(error.message)?.[1];
      places.add(file ?? "the directory");
    }
  });
  assert.ok(places.has("pages") && places.size > 2, `only: ${[...places]}`);
  await subject.expectPass();
});

Deno.test("checkpoint() leaves a tree unharmed when the disk fills up while all its tasks write", async (t) => {
  using room = new ImageRoom();
  // Two tasks of two pieces each: one fails in its first or second piece while one of the other is under way.
  await using subject = await Subject.run("/usr/bin/perl", {
    args: [
      "-e",
      `$memory = "a" x (100 << 20); fork; $| = 1; print "ready\n"; sleep 1000 while 1;`,
    ],
  });
  await withSmallDisk(room.path, t, async (disk) => {
    for (const mib of [20, 80, 140, 190]) {
      disk.limit(`size=${mib}m`);
      const before = witness(subject.pid);
      const error = await failureOf(
        checkpoint(subject.pid, { directory: `${disk.path}/images`, leaveRunning: true }),
      );
      assertUnharmed(before);
      assert.deepEqual([...Deno.readDirSync(disk.path)], [], `${mib} MiB`);
      assert.equal(error.errno, "ENOSPC", error.message);
      assert.match(error.message, /pages-[12]\.img/);
    }
  });
});

Deno.test("checkpoint() leaves the target unharmed when its images cannot be committed", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("sud_block");
  for (const leaveRunning of [false, true]) {
    const directory = room.fresh();
    // Somebody makes a directory of that name meanwhile, and puts something into it.
    const intruder = last({
      pages: () => {
        Deno.mkdirSync(directory);
        Deno.writeTextFileSync(`${directory}/mine`, "mine");
      },
    });
    const before = witness(subject.pid);
    const error = await failureOf(
      checkpoint(subject.pid, { directory, leaveRunning, plugins: [intruder] }),
    );
    assertUnharmed(before);
    assert.equal(error.code, "exists");
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), ["mine"]);
    Deno.removeSync(directory, { recursive: true });
    room.assertAbsent(directory);

    // Somebody deletes what was written.
    const vandal = last({
      pages: () => {
        for (const { name } of Deno.readDirSync(room.path)) {
          Deno.removeSync(`${room.path}/${name}`, { recursive: true });
        }
      },
    });
    const lost = await failsUnharmed(
      subject,
      room,
      (directory) => checkpoint(subject.pid, { directory, leaveRunning, plugins: [vandal] }),
    );
    assert.equal(lost.code, "io", lost.message);
    assert.match(lost.message, /ENOENT/);
  }
  await subject.expectPass();
});
