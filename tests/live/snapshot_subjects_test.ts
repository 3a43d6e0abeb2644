/**
 * Snapshots of every subject of memory and of dispatch, all of whose memory is a shadow's: it runs on as it was, and what
 * the images bring back after it was killed is what it was. And a chain of snapshots of a process in which nothing stays.
 *
 * @module
 */
import { deepEqual } from "@std/assert";
import { hasWriteTracking } from "../../core/linux/userfaultfd.ts";
import { checkpoint, MemoryTracking, type OperationOptions, restore } from "../../mod.ts";
import { processTree } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { allVariants, variantName } from "../harness/variants.ts";
import { backend, hasModeOf, restless } from "./dispatch.ts";
import { collectNotes, ImageHome, settled } from "./round_trip.ts";

/** How many checkpoints follow each other. */
const CHAIN = 10;

/** All memory is that of a shadow, however little it is; or what of it can be is copied before the freeze. */
const SNAPSHOT: OperationOptions = { ...UNHURRIED, snapshot: true, copyLimit: 0n };
const KINDS = [
  { title: "", options: SNAPSHOT, isMissing: false },
  {
    title: "of what is copied ahead ",
    options: { ...SNAPSHOT, copyAheadFrom: 0n },
    isMissing: !hasWriteTracking(),
  },
];

for (const prefix of ["mem_", "sud_"]) {
  const hasDispatch = prefix === "sud_";
  for (const { name, args } of allVariants(prefix)) {
    const ignore = hasDispatch && !(backend.usable && hasModeOf(name));
    for (const { title, options, isMissing } of KINDS) {
      Deno.test({
        name: `${variantName(name, args)}: a snapshot ${title}changes nothing, and brings it back`,
        ignore: ignore || isMissing,
        fn: (t) => bringsBack(t, name, args, options, hasDispatch ? restless(name) : []),
      });
    }
  }
}

async function bringsBack(
  test: Deno.TestContext,
  name: string,
  args: readonly string[],
  options: OperationOptions,
  ignore: readonly RegExp[],
): Promise<void> {
  using images = new ImageHome();
  await using subject = await Subject.start(name, { args });
  if (subject.unsupported !== null) return skip(test, subject.unsupported);
  const before = await settled(subject.pid, ignore);
  const notes: string[] = [];
  await checkpoint(subject.pid, {
    directory: images.directory,
    leaveRunning: true,
    options,
    onEvent: collectNotes(notes),
  });
  deepEqual(notes, []);
  deepEqual(diffSnapshots(before, takeSnapshot(subject.pid), { ignore }), []);
  for (const pid of processTree(subject.pid)) Deno.kill(pid, "SIGKILL");
  await subject.waitGone();
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
}

Deno.test("a chain of snapshots of a process that forks, executes, maps and unmaps all the time is right", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("comings");
  const at = (number: number): string => `${images.directory}-${number}`;
  {
    using tracking = new MemoryTracking();
    for (let number = 0; number < CHAIN; number++) {
      await checkpoint(subject.pid, {
        directory: at(number),
        parent: number === 0 ? undefined : at(number - 1),
        tracking,
        leaveRunning: true,
        options: SNAPSHOT,
      });
    }
  }
  for (const pid of processTree(subject.pid)) {
    try {
      Deno.kill(pid, "SIGKILL");
    } catch (error) {
      // A child may have ended by itself.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  await subject.waitGone();
  const tree = await restore(at(CHAIN - 1));
  await subject.expectPass();
  await tree.wait();
});
