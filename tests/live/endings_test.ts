/** How a restored tree ends is what its root says, and what dead children said before stays known. */
import assert from "@std/assert";
import { checkpoint, type Ending, restore, type RestoredTree } from "../../mod.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { Images } from "../programs/images.ts";
import { ending } from "../programs/scenario.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

const SIGTERM = 15;
const SIGKILL = 9;

/** Restores a script of bash, does something to it, and looks how it ends. */
async function expectEnding(
  script: string,
  act: (subject: Subject, tree: RestoredTree) => void,
  expected: Ending,
): Promise<void> {
  await using images = await Images.create();
  const directory = images.next();
  await using subject = await Subject.spawn("bash", { args: ["-c", `echo ready; ${script}`] });
  await subject.waitReady();
  await checkpoint(subject.pid, { directory });
  const tree = await restore(directory);
  act(subject, tree);
  assert.deepEqual(await ending(tree), expected);
  assert.deepEqual(await tree.wait(), expected, "asked once more");
  assert.equal(readProcess(subject.pid), null, "it is reaped");
}

const go = (subject: Subject) => Deno.writeTextFileSync(`${subject.cwd}/go`, "");
const WAIT_FOR_GO = "until [ -e go ]; do sleep 0.02; done";

Deno.test("RestoredTree.wait() gives the exit code of a root that exits", async () => {
  await expectEnding(`${WAIT_FOR_GO}; exit 7`, go, { code: 7 });
});

Deno.test("RestoredTree.wait() gives 0 of a root that ends well", async () => {
  await expectEnding(`${WAIT_FOR_GO}; true`, go, { code: 0 });
});

Deno.test("RestoredTree.wait() gives the signal of a root that kills itself", async () => {
  await expectEnding(`${WAIT_FOR_GO}; kill -TERM $$`, go, { signal: SIGTERM });
});

Deno.test("RestoredTree.kill() kills a root, and wait() gives the signal", async () => {
  const kill = (_: Subject, tree: RestoredTree) => assert.ok(tree.kill(SIGKILL));
  await expectEnding("exec sleep 1000", kill, { signal: SIGKILL });
});

Deno.test("RestoredTree.wait() sees a root that ended before anybody waited, and kill() says so", async () => {
  await using images = await Images.create();
  const directory = images.next();
  await using subject = await Subject.spawn("bash", {
    args: ["-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done"],
  });
  await subject.waitReady();
  await checkpoint(subject.pid, { directory });
  const tree = await restore(directory);
  assert.equal(tree.kill(SIGTERM), true);
  await waitUntil(() => !subject.alive, "bash to end");
  assert.deepEqual(await ending(tree), { code: 3 });
  assert.equal(tree.kill(SIGTERM), false);
});

Deno.test("RestoredTree.wait() goes on while the tree is checkpointed, and tells when that kills it", async () => {
  await using images = await Images.create();
  await using subject = await Subject.spawn("sleep", { args: ["1000"] });
  await waitUntil(() => readProcess(subject.pid)?.comm === "sleep", "sleep to start");
  const first = images.next();
  await checkpoint(subject.pid, { directory: first });
  const tree = await restore(first);
  let ended: Ending | undefined;
  const waiting = ending(tree).then((ending) => ended = ending);
  await checkpoint(subject.pid, { directory: images.next(), leaveRunning: true });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(ended, undefined, "it runs on");
  const last = images.next();
  await checkpoint(subject.pid, { directory: last });
  assert.deepEqual(await waiting, { signal: SIGKILL });
  const again = await restore(last);
  again.kill(SIGTERM);
  assert.deepEqual(await ending(again), { signal: SIGTERM });
});

Deno.test("a tree is restored again though nobody waited for it when it was killed", async () => {
  await using images = await Images.create();
  await using subject = await Subject.spawn("sleep", { args: ["1000"] });
  await waitUntil(() => readProcess(subject.pid)?.comm === "sleep", "sleep to start");
  let tree: RestoredTree | undefined;
  for (let time = 0; time < 3; time++) {
    const directory = images.next();
    await checkpoint(subject.pid, { directory });
    tree = await restore(directory);
  }
  tree!.kill(SIGTERM);
  assert.deepEqual(await ending(tree!), { signal: SIGTERM });
});

Deno.test("zombies: it is what it was after a restore", (t) => bringsBack(t, "zombies"));
Deno.test("zombies: a checkpoint that lets it run changes nothing", (t) =>
  leavesAlone(t, "zombies"));

Deno.test("the ends of children that were not reaped are known after a restore", async () => {
  await using images = await Images.create();
  const directory = images.next();
  const script = `
    $| = 1;
    my $exited = fork() // die; exit 9 if !$exited;
    my $killed = fork() // die; if (!$killed) { kill TERM => $$; sleep 100 }
    sleep 1;
    print "ready\\n";
    until (-e "go") { select undef, undef, undef, 0.02 }
    waitpid $exited, 0; my $code = $? >> 8;
    waitpid $killed, 0; my $signal = $? & 127;
    print "children $code $signal\\n";`;
  await using subject = await Subject.spawn("perl", { args: ["-e", script] });
  await subject.waitReady();
  const saved = await checkpoint(subject.pid, { directory });
  assert.equal(saved.tasks, 3);
  const tree = await restore(directory);
  go(subject);
  assert.deepEqual(await ending(tree), { code: 0 });
  assert.equal(subject.output(), "ready\nchildren 9 15\n");
});
