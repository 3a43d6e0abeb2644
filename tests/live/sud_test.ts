/**
 * The SUD list of the design: everything that must survive a checkpoint, each with its own subject. It runs on
 * every kernel (`kernel/live/sud_in_vm.ts`): where dispatch cannot be suspended each is refused, unharmed.
 *
 * @module
 */
import assert from "@std/assert";
import { uncancelled } from "../../core/cancellation.ts";
import { SUD } from "../../images/kinds/sud.ts";
import { IMAGES_VERSION_PLUGINS, INVENTORY } from "../../images/kinds/core.ts";
import { checkpoint, openImages, restore, StasisError } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { dispatchOf } from "../harness/unharmed.ts";
import { allVariants, variantName } from "../harness/variants.ts";
import { backend, hasModeOf, isRefused, restless } from "./dispatch.ts";
import { ImageHome } from "./round_trip.ts";

const EMULATOR = new URL("../../examples/emulator/emulator.c", import.meta.url).pathname;

for (const { name, args } of allVariants("sud_")) {
  const title = `${variantName(name, args)} (back end ${backend.name})`;
  const ignore = !hasModeOf(name);
  if (!backend.usable) {
    const fn = () => isRefused(name, { args });
    Deno.test({ name: `${title}: is refused, unharmed`, ignore, fn });
    continue;
  }
  Deno.test({ name: `${title}: survives`, ignore, fn: () => survives(name, args) });
  Deno.test({
    name: `${title}: a checkpoint that lets it run leaves its dispatch alone`,
    ignore,
    fn: () => isLeftAlone(name, args),
  });
}

/** The threads with dispatch on. The kernel keeps the rest of a configuration whose mode is off. */
function on(dispatch: ReadonlyMap<number, string>): Map<number, string> {
  return new Map([...dispatch].filter(([, config]) => !config.startsWith("0 ")));
}

async function survives(name: string, args: readonly string[]): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, { args });
  const before = dispatchOf(subject.pid);
  await checkpoint(subject.pid, { directory: images.directory, options: UNHURRIED });
  const tree = await restore(images.directory);
  const after = dispatchOf(subject.pid);
  await subject.expectPass();
  await tree.wait();
  if (backend.name !== "ptrace" || name === "sud_leave") return;
  assert.deepEqual(on(after), on(before));
  assert.notEqual(on(before).size, 0, "no thread had dispatch on");
}

async function isLeftAlone(name: string, args: readonly string[]): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, { args });
  const before = takeSnapshot(subject.pid);
  const dispatch = dispatchOf(subject.pid);
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: UNHURRIED,
    leaveRunning: true,
  });
  const after = takeSnapshot(subject.pid);
  assert.deepEqual(diffSnapshots(before, after, { ignore: restless(name) }), []);
  if (name !== "sud_leave") assert.deepEqual(on(dispatchOf(subject.pid)), on(dispatch));
  await subject.expectPass();
}

Deno.test({
  name: "sud.img has each thread's configuration, and the inventory names the plugin",
  ignore: !backend.usable,
  async fn() {
    using images = new ImageHome();
    await using subject = await Subject.start("sud_threads", { args: ["4"] });
    await checkpoint(subject.pid, { directory: images.directory, options: UNHURRIED });
    const saved = openImages(images.directory);
    const inventory = saved.read(INVENTORY, null);
    assert.deepEqual(inventory.pluginsEntry?.plugins, ["sud"]);
    // No CRIU restores this version, not even one that does not know the list of plugins.
    assert.equal(inventory.imgVersion, IMAGES_VERSION_PLUGINS);
    const entries = saved.readList(SUD, null);
    // Threads 0, 1 and 2 have dispatch; 3 has none.
    assert.equal(entries.length, 3);
    for (const entry of entries) {
      assert.equal(entry.pid, subject.pid);
      assert.equal(entry.mode, 1);
    }
    // Each thread has a selector of its own.
    assert.equal(new Set(entries.map(({ selector }) => selector)).size, entries.length);
  },
});

Deno.test({
  name: "images of a program with dispatch are not restored without the sud plugin",
  ignore: !backend.usable,
  async fn() {
    const { makePlan } = await import("../../core/restore/make_plan.ts");
    const { DEFAULT_PLUGINS } = await import("../../plugins/default.ts");
    using images = new ImageHome();
    await using subject = await Subject.start("sud_block");
    await checkpoint(subject.pid, { directory: images.directory, options: UNHURRIED });
    await assert.rejects(
      makePlan({
        directory: images.directory,
        plugins: DEFAULT_PLUGINS.filter(({ name }) => name !== "sud"),
        options: {},
        cancellation: uncancelled(),
        listener: () => {},
      }),
      (error: unknown) =>
        error instanceof StasisError && error.code === "unsupported" &&
        error.message.includes("plugin that is not here: sud"),
    );
  },
});

Deno.test({
  name: "the emulator loses no foreign call, leaks none and sees none twice",
  ignore: !backend.usable,
  async fn() {
    using first = new ImageHome();
    using second = new ImageHome();
    await using emulator = await Subject.run(await buildProgram(EMULATOR), { args: ["8"] });
    await checkpoint(emulator.pid, { directory: first.directory, leaveRunning: true });
    await checkpoint(emulator.pid, second);
    const tree = await restore(second.directory);
    await emulator.expectPass();
    await tree.wait();
    assert.equal(emulator.fact("leaked"), "0");
    assert.equal(emulator.fact("lost_or_twice"), "0");
    assert.ok(Number(emulator.fact("emulated")) > 0);
  },
});
