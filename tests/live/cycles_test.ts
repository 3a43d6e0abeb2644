/**
 * Many checkpoints of one tree in a row: what a cycle loses or leaves behind adds up, and in the end the
 * emulator's own counters tell whether a call was lost, leaked to the kernel or seen twice.
 */
import assert from "@std/assert";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { checkpoint, restore, type RestoredTree } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { processTree } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { FileBackup } from "../programs/file_backup.ts";
import { Images } from "../programs/images.ts";
import { ending, pause } from "../programs/scenario.ts";

const EMULATOR = fileURLToPath(new URL("../../examples/emulator/emulator.c", import.meta.url));

async function startEmulator(): Promise<Subject> {
  const subject = await Subject.run(await buildProgram(EMULATOR));
  // Arming a dispatch opens a file and maps memory: none of that is to be in the first look.
  await pause(100);
  return subject;
}

/** What a tree has, which neither time nor a checkpoint changes. */
function belongings(root: number) {
  return processTree(root).map((pid) => ({
    pid,
    tids: [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name).sort(),
    descriptors: [...Deno.readDirSync(`/proc/${pid}/fd`)]
      .map(({ name }) => `${name} ${Deno.readLinkSync(`/proc/${pid}/fd/${name}`)}`)
      // A pipe gets another number.
      .map((line) => line.replace(/pipe:\[\d+\]/, "pipe")).sort(),
    mappings: Deno.readTextFileSync(`/proc/${pid}/maps`).trimEnd().split("\n")
      // Anonymous shared memory gets another inode.
      .map((line) => line.includes("/dev/zero") ? line.replace(/ \d+ +\//, " /") : line),
  }));
}

/** How many foreign calls have been issued, by the newest line of progress. */
function issued(subject: Subject): number {
  const last = [...subject.output().matchAll(/^progress issued (\d+) /gm)].at(-1);
  return last === undefined ? 0 : Number(last[1]);
}

Deno.test("an emulator stands 50 cycles of checkpoint and restore", async () => {
  await using images = await Images.create();
  await using subject = await startEmulator();
  const before = belongings(subject.pid);
  const progress: number[] = [];
  let tree: RestoredTree | undefined;
  for (let cycle = 0; cycle < 50; cycle++) {
    const directory = images.next();
    const ended = tree?.wait();
    await checkpoint(subject.pid, { directory });
    assert.ok(!subject.alive);
    if (cycle > 0) assert.deepEqual(await ended, { signal: 9 });
    tree = await restore(directory);
    assert.deepEqual([...tree.pids].sort(), processTree(subject.pid).sort());
    Deno.removeSync(directory, { recursive: true });
    // Each time at another moment of its work.
    await pause(10 + 17 * cycle % 50);
    progress.push(issued(subject));
    assert.deepEqual(belongings(subject.pid), before, `after cycle ${cycle}`);
  }
  assert.ok(progress.at(-1)! > progress[25]! && progress[25]! > progress[5]!, `${progress}`);
  await subject.expectPass();
  assert.deepEqual(await ending(tree!), { code: 0 });
});

Deno.test("an emulator stands 10 checkpoints that leave it running, and its last images restore", async () => {
  await using images = await Images.create();
  await using subject = await startEmulator();
  const before = belongings(subject.pid);
  const progress: number[] = [];
  for (let cycle = 0; cycle < 9; cycle++) {
    await checkpoint(subject.pid, { directory: images.next(), leaveRunning: true });
    await pause(10 + 17 * cycle % 50);
    progress.push(issued(subject));
    assert.deepEqual(belongings(subject.pid), before, `after cycle ${cycle}`);
  }
  const directory = images.next();
  const files = new FileBackup([dirname(subject.stdout)], images.next());
  await checkpoint(subject.pid, { directory, leaveRunning: true, plugins: [files.plugin] });
  await pause(300);
  assert.ok(issued(subject) > progress[0]!, "it does nothing any more");
  await subject.expectPass();
  await subject.waitGone();

  files.putBack();
  assert.doesNotMatch(subject.output(), /verdict/);
  const tree = await restore(directory);
  await pause(300);
  assert.deepEqual(belongings(subject.pid), before);
  await subject.expectPass();
  assert.deepEqual(await ending(tree), { code: 0 });
});
