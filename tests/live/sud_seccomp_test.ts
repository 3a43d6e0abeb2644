/**
 * The SUD list of the design once more, under seccomp: filters that forbid the calls which a checkpoint and a
 * restore inject, installed before dispatch is armed and after. Like the list itself it runs on every kernel with
 * every back end (`kernel/live/sud_in_vm.ts`).
 *
 * @module
 */
import assert from "@std/assert";
import { checkpoint, type OperationOptions, restore } from "../../mod.ts";
import { ownInability } from "../../plugins/seccomp/ability.ts";
import { type SandboxedVariant, sandboxedVariants } from "../harness/sandbox.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { variantName } from "../harness/variants.ts";
import { backend, hasModeOf, isRefused, restless } from "./dispatch.ts";
import { bringsBack, ImageHome, leavesAlone } from "./round_trip.ts";

/** All memory is a shadow's: some of them show whether one can be made under both. */
const SNAPSHOT: OperationOptions = { snapshot: true, copyLimit: 0n };
const SNAPSHOTS: ReadonlySet<string> = new Set(["sud_threads", "sud_in_handler", "sud_fork"]);

const unable = ownInability() !== undefined;

for (const variant of sandboxedVariants()) {
  const { name, args, order } = variant;
  const title = `${variantName(name, args)} under seccomp (${order}, back end ${backend.name})`;
  const ignore = unable || !hasModeOf(name);
  if (!backend.usable) {
    Deno.test({
      name: `${title}: is refused, unharmed`,
      ignore,
      fn: () => isRefused(name, variant),
    });
    continue;
  }
  Deno.test({ name: `${title}: survives`, ignore, fn: () => survives(variant) });
  Deno.test({ name: `${title}: is left alone`, ignore, fn: () => isLeftAlone(variant) });
  if (!SNAPSHOTS.has(name)) continue;
  Deno.test({ name: `${title}: a snapshot`, ignore, fn: () => isLeftAlone(variant, SNAPSHOT) });
}

async function survives(variant: SandboxedVariant): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(variant.name, variant);
  const filters = seccompOf(subject.pid);
  await checkpoint(subject.pid, { directory: images.directory, options: UNHURRIED });
  const tree = await restore(images.directory);
  assert.deepEqual(seccompOf(subject.pid), filters);
  await subject.expectPass();
  await tree.wait();
}

async function isLeftAlone(variant: SandboxedVariant, more: OperationOptions = {}): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(variant.name, variant);
  const before = takeSnapshot(subject.pid);
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: { ...UNHURRIED, ...more },
    leaveRunning: true,
  });
  const ignore = restless(variant.name);
  assert.deepEqual(diffSnapshots(before, takeSnapshot(subject.pid), { ignore }), []);
  await subject.expectPass();
}

// Where dispatch can only be found out by trying a call, the filters must not see that either.
Deno.test({
  name: `a program whose filter kills for getpid is saved (back end ${backend.name})`,
  ignore: unable,
  async fn(t) {
    await bringsBack(t, "seccomp_guard", { args: ["2"] });
    await leavesAlone(t, "seccomp_guard", { args: ["2"] });
  },
});
