/**
 * Somebody kills a process while it is being frozen, stands still, or is being saved: the checkpoint fails and says
 * so, soon; whoever waits for the process is told; and the others run on.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { checkpoint, StasisError } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { actAt, MOMENTS, outsider } from "../harness/moments.ts";
import { processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { assertNothingHeld, failureOf, ImageRoom, toolState } from "../harness/unharmed.ts";

async function start(): Promise<Subject> {
  const source = fileURLToPath(new URL("programs/churn.c", import.meta.url));
  return await Subject.run(await buildProgram(source), { args: ["killed"] });
}

/** The one sentence that says so. */
function assertSaysKilled(error: StasisError, pid: number): void {
  assert.equal(error.code, "no-such-task", `${error.message} ${(error.cause as Error)?.stack}`);
  assert.match(
    error.message,
    new RegExp(
      `^task ${pid} (\\([\\w-]+\\) is gone: it was killed meanwhile|ended while .* frozen)$`,
    ),
  );
}

/** Kills from outside, after so many milliseconds, whatever this process does. */
function killLater(pid: number, ms: number): Promise<unknown> {
  const script = `sleep ${ms / 1000}; kill -9 ${pid}`;
  return new Deno.Command("sh", { args: ["-c", script] }).spawn().status;
}

for (const moment of MOMENTS) {
  Deno.test(`checkpoint() of a process that is killed says so: ${moment}`, async () => {
    for (let round = 0; round < 20; round++) {
      using room = new ImageRoom();
      await using subject = await start();
      const directory = room.fresh();
      const kill = () => Deno.kill(subject.pid, "SIGKILL");
      const plugins = [actAt(moment, kill)];
      assertSaysKilled(
        await failureOf(checkpoint(subject.pid, { directory, leaveRunning: true, plugins })),
        subject.pid,
      );
      room.assertAbsent(directory);
      // Its parent is told: nothing of it is kept by its tracer.
      await subject.waitGone(2_000);
    }
  });
}

Deno.test("checkpoint() of a process that is killed while a program runs in its first thread ends soon", async () => {
  using room = new ImageRoom();
  await using subject = await start();
  const directory = room.fresh();
  // Its other threads stand still, and their tracer has to reap them before the end of the first one is told.
  const sleeping = outsider({
    collectTask(_, program) {
      const minute = new Uint8Array(new BigInt64Array([60n, 0n]).buffer);
      program.try("nanosleep", minute, 0);
    },
  });
  const killed = killLater(subject.pid, 200);
  const begin = performance.now();
  const error = await failureOf(checkpoint(subject.pid, { directory, plugins: [sleeping] }));
  assert.ok(performance.now() - begin < 3_000);
  assertSaysKilled(error, subject.pid);
  room.assertAbsent(directory);
  await killed;
  await subject.waitGone(2_000);
});

Deno.test("checkpoint() of a process that is killed at any time succeeds before, or says so", async () => {
  let failed = 0;
  for (let round = 0; round < 40; round++) {
    using room = new ImageRoom();
    await using subject = await start();
    const held = toolState();
    const directory = room.fresh();
    const killed = killLater(subject.pid, round);
    try {
      await checkpoint(subject.pid, { directory, leaveRunning: true });
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
      // Before it was frozen it was simply not there, or dead already.
      const before = /^there is no process|is a zombie: it has ended/;
      if (!before.test(error.message)) assertSaysKilled(error, subject.pid);
      room.assertAbsent(directory);
      failed++;
    }
    await killed;
    await subject.waitGone(2_000);
    assertNothingHeld(held);
  }
  assert.ok(failed > 0, "it was never killed in time");
});

for (const moment of MOMENTS) {
  Deno.test(`checkpoint() of a tree of which a child is killed harms no other: ${moment}`, async () => {
    using room = new ImageRoom();
    const script = "sleep 1000 & sleep 1001 & sleep 1002 & echo ready; wait -n; echo died; wait -n";
    await using subject = await Subject.spawn("bash", { args: ["-c", script] });
    await subject.waitReady();
    await waitUntil(() => processTree(subject.pid).length === 4, "the children to be there");
    const [, , child, ...others] = processTree(subject.pid);
    await waitUntil(() => readProcess(child as number)?.comm === "sleep", "the child to execute");
    const directory = room.fresh();
    const plugins = [actAt(moment, () => Deno.kill(child as number, "SIGKILL"))];
    const error = await failureOf(checkpoint(subject.pid, { directory, plugins }));
    assertSaysKilled(error, child as number);
    room.assertAbsent(directory);
    // The parent is told of its child's end, and goes on.
    await waitUntil(() => /^died$/m.test(subject.output()), () => subject.output());
    for (const pid of [subject.pid, ...others]) {
      assert.match(Deno.readTextFileSync(`/proc/${pid}/status`), /^TracerPid:\s*0$/m);
    }
    Deno.kill(others[0] as number, "SIGTERM");
    await waitUntil(() => !subject.alive, "bash to come to its end");
  });
}
