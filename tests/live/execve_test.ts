/**
 * Programs that are executed while a tree is being frozen: by the first thread of a process, which stays what it
 * is, and by another one, which ends the others and takes the first one's id.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { uncancelled } from "../../core/cancellation.ts";
import { freezeTree } from "../../core/checkpoint/freeze.ts";
import { Interruptions } from "../../core/linux/interruptions.ts";
import { PTRACE_O, seize } from "../../core/linux/ptrace.ts";
import { readStat } from "../../core/linux/procfs/mod.ts";
import { beginStop, finishStop, lookAt } from "../../core/remote/stop_thread.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { checkpoint, restore } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { assertNothingHeld, ImageRoom, toolState } from "../harness/unharmed.ts";
import { ending } from "../programs/scenario.ts";

async function start(name: string, args: readonly string[] = []): Promise<Subject> {
  const source = fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
  return await Subject.run(await buildProgram(source), { args });
}

/** How many programs it has executed. */
function countOf(subject: Subject): number {
  const bytes = Deno.readFileSync(`${subject.cwd}/count`);
  return Number(new DataView(bytes.buffer).getBigInt64(0, true));
}

async function goesOn(subject: Subject): Promise<void> {
  const before = countOf(subject);
  await waitUntil(() => countOf(subject) > before + 1, () => `more than ${before} programs`);
}

/** Who executes programs, and how often the tree is checkpointed meanwhile. */
const ROUNDS = { first: 50, thread: 200, child: 100 };
/** How often it is killed and restored. */
const CYCLES = 10;

for (const [who, rounds] of Object.entries(ROUNDS)) {
  Deno.test(`checkpoint() of a tree whose ${who} executes programs all the time leaves it running`, async () => {
    using room = new ImageRoom();
    await using subject = await start("exec_again", [who]);
    const before = toolState();
    for (let round = 0; round < rounds; round++) {
      const directory = room.fresh();
      await checkpoint(subject.pid, { directory, leaveRunning: true });
      Deno.removeSync(directory, { recursive: true });
      assertNothingHeld(before);
      await goesOn(subject);
    }
    await subject.expectPass();
  });

  Deno.test(`restore() of a tree whose ${who} executes programs all the time lets it go on`, async () => {
    using room = new ImageRoom();
    await using subject = await start("exec_again", [who]);
    for (let round = 0; round < CYCLES; round++) {
      const directory = room.fresh();
      await checkpoint(subject.pid, { directory });
      assert.ok(!subject.alive);
      await restore(directory);
      Deno.removeSync(directory, { recursive: true });
      await goesOn(subject);
    }
    const directory = room.fresh();
    await checkpoint(subject.pid, { directory });
    const tree = await restore(directory);
    await subject.expectPass();
    assert.deepEqual(await ending(tree), { code: 0 });
  });
}

Deno.test("freezeTree() does not wait for an execve(2) that waits for this process", async () => {
  await using subject = await start("one_exec");
  const { pid } = subject;
  const bystander = Number(subject.fact("bystander"));
  assert.ok(beginStop(bystander, 0n));
  const tracee = finishStop(bystander, pid, 0n);
  // The thread that executes has ended the bystander, which is a zombie for as long as this process lets it be.
  Deno.kill(pid, "SIGUSR1");
  await waitUntil(() => readStat(pid, bystander).state === "Z", "the bystander to end");
  {
    using undo = new DisposableStack();
    const begin = performance.now();
    const { processes } = freezeTree(pid, undo, uncancelled());
    assert.ok(performance.now() - begin < 1_000);
    assert.deepEqual(processes.map(({ tracees }) => tracees.map(({ tid }) => tid)), [[pid]]);
  }
  tracee?.release();
  await waitUntil(() => subject.facts.get("executed") === "1", "the program to begin");
  await subject.expectPass();
});

Deno.test("lookAt() tells that another thread has executed a program, under the id of the first", async () => {
  await using subject = await start("one_exec");
  const { pid } = subject;
  const executer = Number(subject.fact("executer"));
  const options = PTRACE_O.TRACEEXEC;
  assert.ok(beginStop(pid, options));
  const before = finishStop(pid, pid, options) as Tracee;
  assert.equal(seize(executer, options), 0n);
  assert.deepEqual(lookAt(executer, pid, options), { kind: "none" });
  Deno.kill(pid, "SIGUSR1");
  await waitUntil(() => lookAt(executer, pid, options).kind === "gone", "its id to be gone");
  const looks = new Set<string>();
  let after: Tracee | undefined;
  await waitUntil(() => {
    const look = lookAt(pid, pid, options);
    looks.add(look.kind);
    if (look.kind === "stopped") after = look.tracee;
    return after !== undefined;
  }, () => `it to stop: ${[...looks]}`);
  assert.ok(looks.has("executed"));
  assert.notEqual(after?.registers.get("ip"), before.registers.get("ip"));
  assert.equal(subject.facts.get("executed"), undefined, "it stands before its first instruction");
  before.lose();
  after?.release();
  await waitUntil(() => subject.facts.get("executed") === "1", "the program to begin");
  await subject.expectPass();
});

Deno.test("Tracee.release() gives up a thread whose id another one has taken by execve(2)", async () => {
  await using subject = await start("one_exec");
  const { pid } = subject;
  assert.ok(beginStop(pid, 0n));
  const tracee = finishStop(pid, pid, 0n) as Tracee;
  Deno.kill(pid, "SIGUSR1");
  await waitUntil(() => subject.facts.get("executed") === "1", "the program to begin");
  using _ = new Interruptions();
  tracee.release();
  assert.match(Deno.readTextFileSync(`/proc/${pid}/status`), /^TracerPid:\s*0$/m);
  assert.notEqual(readProcess(pid)?.state, "t");
  await subject.expectPass();
});
