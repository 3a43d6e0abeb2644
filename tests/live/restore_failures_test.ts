/**
 * A restore that fails, wherever it fails: nothing is left of the tree that was being built, at once, and the
 * images can be restored afterwards as if nothing had been.
 */

import assert from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { definePlugin, type Plugin, type RestoreHooks, STAGES } from "../../core/plugin.ts";
import { checkpoint, DEFAULT_PLUGINS, planRestore, restore, type StasisEvent } from "../../mod.ts";
import { allPids, readProcess, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import {
  assertNothingHeld,
  failureOf,
  ImageRoom,
  isTaken,
  toolState,
} from "../harness/unharmed.ts";

/** Trees, one of each shape that matters for clearing away. */
const TREES: readonly { name: string; args: readonly string[] }[] = [
  { name: "sud_threads", args: ["4"] },
  { name: "tree_many", args: ["6"] },
  { name: "tree_sessions", args: [] },
  { name: "pipes", args: [] },
];

/** A tree that was saved and is gone: its images, and every id that it had. */
interface Saved {
  readonly subject: Subject;
  readonly directory: string;
  readonly ids: readonly number[];
}

async function save(subject: Subject, room: ImageRoom): Promise<Saved> {
  const directory = room.fresh();
  await checkpoint(subject.pid, { directory });
  await subject.waitGone();
  const plan = await planRestore(directory);
  const ids = [
    ...plan.tasks.flatMap(({ threads }) => threads.map(({ tid }) => tid)),
    ...plan.zombies.keys(),
    ...plan.births.helpers.map(({ pid }) => pid),
  ];
  return { subject, directory, ids };
}

/** Whatever stands between a process that was begun and one of the tree: it still calls itself as the seed did. */
function strangers(): number[] {
  return allPids().filter((pid) => {
    try {
      return Deno.readTextFileSync(`/proc/${pid}/cmdline`).startsWith("stasis-seed");
    } catch {
      return false;
    }
  });
}

/** Runs a restore that must fail, and sees to it that nothing is left. */
async function failsClean({ ids }: Saved, run: () => Promise<unknown>): Promise<StasisError> {
  const before = toolState();
  const others = new Set(strangers());
  const error = await failureOf(run());
  const left = ids.filter(isTaken).map((pid) => readProcess(pid));
  assert.deepEqual(left, [], `left behind by: ${error.message}`);
  assertNothingHeld(before);
  // Those of other tools on this machine come and go.
  await waitUntil(
    () => strangers().every((pid) => others.has(pid)),
    () => `processes to be gone that were left behind by: ${error.message}`,
  );
  return error;
}

/** Brings it back in the end: no failure has spoilt anything. */
async function works({ subject, directory }: Saved): Promise<void> {
  const tree = await restore(directory);
  await subject.expectPass();
  await tree.wait();
}

function sabotage(): never {
  throw new Error("sabotage");
}

const FAILING_HOOKS: Readonly<Record<string, RestoreHooks>> = {
  load: { load: sabotage },
  "load, later": { load: () => Promise.reject(new Error("sabotage")) },
  occupies: { occupies: sabotage },
  planTree: { planTree: sabotage },
  planTask: { planTask: sabotage },
  planThread: { planThread: sabotage },
  bornThread: { bornThread: sabotage },
  armThread: { armThread: sabotage },
};

function last(hooks: RestoreHooks): Plugin {
  return definePlugin({
    name: "saboteur",
    description: "fails",
    after: DEFAULT_PLUGINS.map(({ name }) => name),
    restore: () => hooks,
  });
}

for (const { name, args } of TREES) {
  Deno.test(`restore() leaves nothing of ${name} whichever hook fails`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start(name, { args });
    const saved = await save(subject, room);
    for (const [where, hooks] of Object.entries(FAILING_HOOKS)) {
      const error = await failsClean(
        saved,
        () => restore(saved.directory, { plugins: [last(hooks)] }),
      );
      assert.equal(error.message, "plugin saboteur failed: sabotage", where);
      assert.equal(error.plugin, "saboteur");
      assert.equal(error.code, "internal");
    }
    // The last thread of the last task: all others are done by then.
    for (const hook of ["bornThread", "armThread"] as const) {
      const victim = (await planRestore(saved.directory)).tasks.at(-1)?.threads.at(-1)?.tid;
      const hooks = { [hook]: ({ tid }: { tid: number }) => tid === victim ? sabotage() : {} };
      const error = await failsClean(
        saved,
        () => restore(saved.directory, { plugins: [last(hooks)] }),
      );
      assert.equal(error.plugin, "saboteur");
    }
    await works(saved);
  });

  Deno.test(`restore() leaves nothing of ${name} whichever stage fails, and names the call`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start(name, { args });
    const saved = await save(subject, room);
    for (const stage of STAGES) {
      const plan = await planRestore(saved.directory);
      const task = plan.tasks.at(-1);
      const program = stage === "seed" ? plan.seed : task?.program(stage);
      program?.call("openat", -100, "/no/such/file", 0, 0);
      const error = await failsClean(saved, () => restore(plan));
      assert.equal(error.code, "syscall", `${stage}: ${error.message}`);
      assert.equal(error.errno, "ENOENT", stage);
      assert.match(
        error.message,
        /openat\(AT_FDCWD, "\/no\/such\/file", O_RDONLY.*\) = -1 ENOENT$/,
        stage,
      );
      if (stage !== "seed") {
        assert.equal(error.pid, task?.pid);
        assert.match(error.message, new RegExp(`^stage ${stage}: task ${task?.pid}: `));
      }
    }
    await works(saved);
  });

  Deno.test(`restore() leaves nothing of ${name} wherever it is cancelled`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start(name, { args });
    const saved = await save(subject, room);
    const atOnce = await failsClean(
      saved,
      () => restore(saved.directory, { signal: AbortSignal.abort() }),
    );
    assert.equal(atOnce.code, "cancelled");
    let cancelled = 0;
    for (const phase of ["load", "plan", "build", "arm"]) {
      const controller = new AbortController();
      const onEvent = (event: StasisEvent) => {
        if (event.kind === "phase" && event.phase === phase) controller.abort();
      };
      const error = await failsClean(
        saved,
        () => restore(saved.directory, { signal: controller.signal, onEvent }),
      );
      assert.equal(error.code, "cancelled", phase);
      cancelled++;
    }
    assert.equal(cancelled, 4);
    // Between any two steps: a timer that fires sooner or later.
    for (let delay = 0; delay < 40; delay += 4) {
      const before = toolState();
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(), delay);
      try {
        const tree = await restore(saved.directory, { signal: controller.signal });
        // It was quicker than the timer: the tree runs, and is ended here.
        clearTimeout(timer);
        await subject.kill();
        await tree.wait();
        // Its children are init's now, which takes its time to reap them.
        await waitUntil(() => !saved.ids.some(isTaken), "the killed tree to be gone");
      } catch (error) {
        if (!(error instanceof StasisError)) throw error;
        assert.equal(error.code, "cancelled", error.message);
        assert.deepEqual(saved.ids.filter(isTaken), []);
        assertNothingHeld(before);
      }
    }
    await works(saved);
  });
}
