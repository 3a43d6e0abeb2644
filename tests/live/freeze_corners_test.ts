/** The corners of standing still: what a freeze must not miss, and what must not run on. */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { uncancelled } from "../../core/cancellation.ts";
import { freezeTree, type StoppedProcess, type StoppedTree } from "../../core/checkpoint/freeze.ts";
import { findTree, survey } from "../../core/checkpoint/survey.ts";
import { Interruptions } from "../../core/linux/interruptions.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { PROT_EXEC } from "../../core/linux/procfs/mod.ts";
import { PTRACE_O, seize, standsStill } from "../../core/linux/ptrace.ts";
import { SIG } from "../../core/linux/signals.ts";
import { findCodePlaces } from "../../core/remote/code_places.ts";
import { detachAsked, stragglerCount } from "../../core/remote/detach.ts";
import { beginGroupStop } from "../../core/remote/job_control.ts";
import { pause } from "../../core/linux/pause.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { RemoteTask } from "../../core/remote/remote_task.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { blockedIn } from "../../core/remote/wchan.ts";
import { StasisError } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";

async function start(name: string, args: readonly string[] = []): Promise<Subject> {
  const source = fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
  return await Subject.run(await buildProgram(source), { args });
}

function freeze(pid: number, undo: DisposableStack): { tree: StoppedTree; leader: Tracee } {
  const tree = freezeTree(pid, undo, uncancelled());
  return { tree, leader: tree.processes[0]?.tracees[0] as Tracee };
}

Deno.test("freezeTree() misses no thread where each makes another and ends", async () => {
  await using subject = await start("relay");
  for (let round = 0; round < 100; round++) {
    using undo = new DisposableStack();
    const { tree } = freeze(subject.pid, undo);
    const known = new Set(tree.processes.flatMap(({ tracees }) => tracees.map(({ tid }) => tid)));
    const there = [...Deno.readDirSync(`/proc/${subject.pid}/task`)].map(({ name }) => +name);
    assert.deepEqual(there.filter((tid) => !known.has(tid)), [], `round ${round}`);
  }
  await subject.expectPass();
});

/** A freeze that must fail, soon, and after which nothing is traced. */
async function assertRefused(pid: number, says: RegExp, hint: RegExp): Promise<void> {
  const begin = performance.now();
  const refused = (error: StasisError) => {
    assert.equal(error.code, "unsupported");
    assert.match(error.message, says);
    assert.match(error.hint ?? "", hint);
    return true;
  };
  assert.throws(() => {
    using undo = new DisposableStack();
    freezeTree(pid, undo, uncancelled());
  }, refused);
  assert.ok(performance.now() - begin < 2_000);
  await waitUntil(() => stragglerCount() === 0, "all threads to be let go");
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    const status = Deno.readTextFileSync(`/proc/${pid}/task/${name}/status`);
    assert.match(status, /^TracerPid:\s*0$/m);
  }
}

for (const which of ["", "thread"]) {
  Deno.test(`freezeTree() refuses a process that waits in vfork${which && " in a thread"}, soon`, async () => {
    const end = await Deno.makeTempFile({ prefix: "stasis-vfork-" });
    await Deno.remove(end);
    await using subject = await start("vfork", which === "" ? [end] : [end, which]);
    try {
      const says = new RegExp(`waits in vfork\\(2\\) for its child ${subject.fact("child")} `);
      const refused = assertRefused(subject.pid, says, /when the child has done so/);
      // A thread in vfork cannot be let go of before it stops.
      await Deno.writeTextFile(end, "");
      await refused;
      await subject.expectPass();
    } finally {
      await Deno.remove(end);
    }
  });
}

Deno.test("detachAsked() hands on the signal for which a thread has stopped unseen", async () => {
  await using subject = await Subject.spawn("sleep", { args: ["100"] });
  const { pid } = subject;
  await waitUntil(() => readProcess(pid)?.comm === "sleep", () => "sleep to begin");
  assert.equal(seize(pid, PTRACE_O.TRACESYSGOOD), 0n);
  try {
    Deno.kill(pid, "SIGTERM");
    while (!standsStill(pid)) pause(1);
  } finally {
    detachAsked(pid, pid);
  }
  const hasEnded = () => ["Z", undefined].includes(readProcess(pid)?.state);
  await waitUntil(hasEnded, () => "the signal to end it");
});

Deno.test("beginGroupStop() stops a process of an orphaned group, which SIGTSTP does not", async () => {
  // A subject leads its session, so its group is orphaned.
  await using subject = await Subject.spawn("sleep", { args: ["100"] });
  await waitUntil(() => readProcess(subject.pid)?.comm === "sleep", () => "sleep to begin");
  {
    using undo = new DisposableStack();
    beginGroupStop(freeze(subject.pid, undo).leader, SIG.TSTP, []);
  }
  await waitUntil(() => readProcess(subject.pid)?.state === "T", () => "the process to be stopped");
});

Deno.test("blockedIn() does not let a thread run on when its call ends", async () => {
  await using subject = await start("one_sleep");
  // The freeze interrupts the sleep, which goes on as restart_syscall(2).
  {
    using undo = new DisposableStack();
    freeze(subject.pid, undo);
  }
  {
    using undo = new DisposableStack();
    const { leader } = freeze(subject.pid, undo);
    let looks = 0;
    while (BigInt.asIntN(64, leader.registers.get("ax")) === -516n) {
      blockedIn(leader, () => undefined);
      assert.ok(++looks < 100);
    }
    assert.ok(looks > 0, "it was never in its call");
    assert.equal(subject.facts.get("over"), undefined);
  }
  await waitUntil(() => subject.facts.get("over") === "1", () => "the sleep to end");
  await subject.expectPass();
});

/** For a survey in which nothing is changed. */
const NO_RESCUER = { pids: [], noteOutside: () => ({ erase() {} }) };

Deno.test("survey() refuses filtered calls, of any thread, where no plugin sees to them", async () => {
  await using subject = await start("filtered");
  await assert.rejects(
    survey(findTree(subject.pid, false), [], uncancelled(), { rescuer: NO_RESCUER }),
    (error: StasisError) => {
      const [problem] = error.problems.filter(({ what }) => what.includes("seccomp"));
      assert.equal(problem?.pid, subject.pid);
      assert.notEqual(problem?.tid, subject.pid);
      return true;
    },
  );
  await subject.expectPass();
});

Deno.test("StartedRuns sees the end of a program whose signal was dropped, since another one of its kind waited", async () => {
  await using subject = await Subject.start("mem_anon");
  const sender = new Deno.Command("/bin/sh", {
    args: ["-c", 'while kill -URG "$1"; do sleep 0.02; done', "sh", String(subject.pid)],
    stderr: "null",
  }).spawn();
  {
    using _ = new Interruptions();
    using undo = new DisposableStack();
    const cancellation = uncancelled();
    const tree = freezeTree(subject.pid, undo, cancellation);
    const { proc, tracees: [leader] } = tree.processes[0] as StoppedProcess;
    cancellation.limit(10_000, () => new StasisError("timeout", "nobody saw the end"));
    using memory = new ProcessMemory(subject.pid);
    const { instruction } = findCodePlaces(
      memory,
      proc.vmas.filter(({ prot }) => prot & PROT_EXEC),
    );
    // The call that sends the signal of the end fails: there is no such thread in init.
    const inner = { pid: 1, tid: (tid: number) => tid };
    const remote = undo.use(new RemoteTask(leader as Tracee, [], instruction!, inner));
    const program = new SyscallProgram("a program whose end nobody hears");
    const call = program.call("getppid");
    assert.equal(remote.run(program).result(call), BigInt(proc.stat.ppid));
  }
  sender.kill();
  await sender.status;
  await subject.expectPass();
});
