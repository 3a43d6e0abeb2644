/** Clocks that count from the machine's start, where they would jump: time namespaces. */

import { deepEqual, equal, match, notEqual } from "@std/assert";
import { readBootId } from "../../core/linux/clocks.ts";
import { readClockOffsets, readNamespaces } from "../../core/linux/procfs/mod.ts";
import { MANIFEST } from "../../images/kinds/manifest.ts";
import { checkpoint, restore } from "../../mod.ts";
import { buildSubject } from "../harness/build.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, collectNotes, ImageHome, leavesAlone } from "./round_trip.ts";

Deno.test("clocks: they go on after a restore", (t) => bringsBack(t, "clocks"));

Deno.test("clocks: a checkpoint that lets it run changes nothing", (t) => leavesAlone(t, "clocks"));

const timeOf = (pid: number) => readNamespaces(pid).time;

/** How far the clocks of a namespace are set ahead here, in seconds. */
const LEAD = { monotonic: 100_000n, boottime: 200_000n };
const SECOND = 1_000_000_000n;

/** Has images tell of another boot than this one. */
function forgetBoot(directory: string): void {
  const path = `${directory}/clocks.img`;
  const bytes = Deno.readFileSync(path);
  const id = new TextEncoder().encode(readBootId());
  const at = bytes.findIndex((_, index) => id.every((byte, i) => bytes[index + i] === byte));
  bytes.set(new TextEncoder().encode(crypto.randomUUID()), at);
  Deno.writeFileSync(path, bytes);
  // As if it had been written so: without its checksum.
  Deno.removeSync(`${directory}/${MANIFEST.file}`);
}

/** The subject in a time namespace of its own, as on a machine that was started earlier. */
async function startAhead(): Promise<Subject> {
  const { monotonic, boottime } = LEAD;
  return await Subject.run("/usr/bin/unshare", {
    args: [
      "--time",
      `--monotonic=${monotonic}`,
      `--boottime=${boottime}`,
      await buildSubject("clocks"),
    ],
  });
}

Deno.test("clocks: a tree in a time namespace runs on, and gets it again at a restore", async () => {
  using images = new ImageHome();
  await using subject = await startAhead();
  notEqual(timeOf(subject.pid), timeOf(Deno.pid));
  const before = readClockOffsets(subject.pid);
  equal(before.monotonic, LEAD.monotonic * SECOND);
  await checkpoint(subject.pid, { directory: `${images.directory}-1`, leaveRunning: true });
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const tree = await restore(images.directory);
  notEqual(timeOf(subject.pid), timeOf(Deno.pid));
  deepEqual(readClockOffsets(subject.pid), before);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("clocks: on a machine that was started since, they go on from where they were", async () => {
  using images = new ImageHome();
  await using subject = await startAhead();
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const before = timeOf(Deno.pid);
  forgetBoot(images.directory);
  const tree = await restore(images.directory);
  notEqual(timeOf(subject.pid), before);
  // A tree in the namespace of a restore can be saved like any other.
  using again = new ImageHome();
  await checkpoint(subject.pid, again);
  await tree.wait();
  const second = await restore(again.directory);
  await subject.expectPass();
  await second.wait();
});

Deno.test("clocks: they go on as if no time had passed where the user wants that", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("clocks");
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const tree = await restore(images.directory, { options: { timeNamespace: "always" } });
  equal(readClockOffsets(subject.pid).monotonic < 0n, true);
  await subject.expectPass();
  await tree.wait();
});

Deno.test("clocks: what a tree will find strange is said where it gets no time namespace", async () => {
  using images = new ImageHome();
  await using subject = await startAhead();
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const notes: string[] = [];
  const onEvent = collectNotes(notes);
  const tree = await restore(images.directory, { onEvent, options: { timeNamespace: "never" } });
  match(notes.join("; "), /CLOCK_MONOTONIC has begun anew and is 99\d\d\d s behind/);
  await subject.kill();
  await tree.wait();
});
