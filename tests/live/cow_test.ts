import { deepEqual, ok } from "@std/assert";
import { checkpoint, openImages, restore } from "../../mod.ts";
import { skip } from "../harness/skip.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { allVariants } from "../harness/variants.ts";
import { ImageHome, settled } from "./round_trip.ts";

/** A process and all that descend from it. */
function treeOf(pid: number): number[] {
  const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
  return [pid, ...children.split(" ").filter(Boolean).map(Number).flatMap(treeOf)];
}

/** The sum of a line of `smaps_rollup` over a tree, in bytes. */
function sumOf(pid: number, line: string): number {
  return treeOf(pid).reduce((sum, one) => {
    const rollup = Deno.readTextFileSync(`/proc/${one}/smaps_rollup`);
    return sum + 1024 * Number(new RegExp(`^${line}: +(\\d+) kB$`, "m").exec(rollup)?.[1]);
  }, 0);
}

/** The size of all images, in bytes. */
function sizeOf(directory: string): number {
  const { fileNames, path } = openImages(directory);
  return fileNames.reduce((sum, name) => sum + Deno.statSync(`${path}/${name}`).size, 0);
}

/** What the images have beside pages, and what a restored task has of its own that it shared before. */
const TOLERANCE = 1 << 20;

for (const { args } of allVariants("cow_tree")) {
  const how = args.join(" ");
  Deno.test(`memory that is shared copy-on-write is saved once and shared again: ${how}`, async (t) => {
    using images = new ImageHome();
    await using subject = await Subject.start("cow_tree", { args });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    const before = await settled(subject.pid);
    const shared = sumOf(subject.pid, "Pss_Anon");
    const huge = sumOf(subject.pid, "AnonHugePages");
    if (how === "huge" && huge === 0) {
      return skip(t, "there are no transparent huge pages to be had");
    }
    await checkpoint(subject.pid, images);
    const size = sizeOf(images.directory);
    const tree = await restore(images.directory);
    const after = takeSnapshot(subject.pid);
    const again = sumOf(subject.pid, "Pss_Anon");
    const hugeAgain = sumOf(subject.pid, "AnonHugePages");
    await subject.expectPass();
    await tree.wait();
    deepEqual(diffSnapshots(before, after, { restored: true }), []);
    ok(size < shared + TOLERANCE, `${size} bytes of images for ${shared} bytes of memory`);
    ok(again < shared + TOLERANCE, `${again} bytes of memory after the restore, ${shared} before`);
    ok(hugeAgain >= huge, `${hugeAgain} bytes of huge pages after the restore, ${huge} before`);
  });

  Deno.test(`a checkpoint leaves memory alone that is shared copy-on-write: ${how}`, async (t) => {
    using images = new ImageHome();
    await using subject = await Subject.start("cow_tree", { args });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    const before = await settled(subject.pid);
    const shared = sumOf(subject.pid, "Pss_Anon");
    await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
    deepEqual(diffSnapshots(before, takeSnapshot(subject.pid)), []);
    const again = sumOf(subject.pid, "Pss_Anon");
    ok(
      again < shared + TOLERANCE,
      `${again} bytes of memory after the checkpoint, ${shared} before`,
    );
    await subject.expectPass();
  });
  Deno.test(`a snapshot saves memory that is shared copy-on-write once: ${how}`, async (t) => {
    using images = new ImageHome();
    await using subject = await Subject.start("cow_tree", { args });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    const before = await settled(subject.pid);
    const shared = sumOf(subject.pid, "Pss_Anon");
    await checkpoint(subject.pid, {
      directory: images.directory,
      leaveRunning: true,
      options: { ...UNHURRIED, snapshot: true, copyLimit: 0n },
    });
    deepEqual(diffSnapshots(before, takeSnapshot(subject.pid)), []);
    const size = sizeOf(images.directory);
    ok(size < shared + TOLERANCE, `${size} bytes of images for ${shared} bytes of memory`);
    for (const pid of treeOf(subject.pid)) Deno.kill(pid, "SIGKILL");
    await subject.waitGone();
    const tree = await restore(images.directory);
    await subject.expectPass();
    await tree.wait();
  });
}
