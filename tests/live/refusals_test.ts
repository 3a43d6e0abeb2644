/**
 * What cannot be checkpointed is refused with a clear sentence, a hint, a stable code and its exit status, and
 * is not touched: it runs on as it was.
 */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { EXIT_STATUS } from "../../base/errors.ts";
import {
  checkpoint,
  definePlugin,
  type ErrorCode,
  type Plugin,
  restore,
  StasisError,
  type StasisEvent,
} from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { allPids, processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject, type SubjectOptions } from "../harness/subject.ts";
import { assertUnharmed, failureOf, ImageRoom, witness } from "../harness/unharmed.ts";

/** Starts a program of this folder. */
async function start(
  name: string,
  args: readonly string[] = [],
  options: SubjectOptions = {},
): Promise<Subject> {
  const source = fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
  return await Subject.run(await buildProgram(source, options.flags), { ...options, args });
}

/** What a refusal says: its code, all that people read of it, and what to do. */
interface Refusal {
  readonly code: ErrorCode;
  readonly says: RegExp;
  readonly hint: RegExp;
}

function assertSays(error: StasisError, { code, says, hint }: Refusal): void {
  assert.equal(error.code, code, error.message);
  const sentences = [error.message, ...error.problems.map(({ what }) => what)].join("\n");
  assert.match(sentences, says);
  assert.doesNotMatch(sentences, /\.$/m, "a sentence without a full stop");
  const hints = [error.hint, ...error.problems.map((problem) => problem.hint)].join("\n");
  assert.match(hints, hint);
}

/** The API and the command line both refuse to checkpoint `pid`, and say so. */
async function refuses(pid: number, refusal: Refusal): Promise<void> {
  using room = new ImageRoom();
  const directory = room.fresh();
  assertSays(await failureOf(checkpoint(pid, { directory })), refusal);
  room.assertAbsent(directory);
  const outcome = await stasis(["checkpoint", String(pid), "-D", directory]);
  assert.equal(outcome.status, EXIT_STATUS[refusal.code], outcome.stderr);
  assert.match(outcome.stderr, refusal.says);
  assert.match(outcome.stderr, refusal.hint);
  assert.doesNotMatch(outcome.stderr, /^ +at /m, "a stack trace is nothing for users");
  assert.equal(outcome.stdout, "");
  room.assertAbsent(directory);
}

Deno.test("checkpoint refuses a pid that nobody has", async () => {
  let pid = 4_000_000;
  while (readProcess(pid) !== null) pid--;
  await refuses(pid, {
    code: "no-such-task",
    says: new RegExp(`there is no process ${pid}`),
    hint: /pid namespace/,
  });
});

Deno.test("checkpoint refuses a zombie", async () => {
  await using subject = await start("zombie");
  const before = witness(subject.pid);
  await refuses(Number(subject.fact("zombie")), {
    code: "unsupported",
    says: new RegExp(`is a zombie: it has ended and waits for its parent ${subject.pid}`),
    hint: /nothing left to save/,
  });
  assertUnharmed(before);
  await subject.expectPass();
});

Deno.test("checkpoint refuses to end the init of the pid namespace that it runs in, and lets it run on", async () => {
  const script = "echo ready; exec unshare --pid --fork --mount-proc --kill-child sleep 1000";
  await using subject = await Subject.spawn("bash", { args: ["-c", script] });
  await subject.waitReady();
  const init = () => processTree(subject.pid).find((pid) => readProcess(pid)?.comm === "sleep");
  await waitUntil(() => init() !== undefined, "the namespace to have an init");
  const through = ["nsenter", "--target", String(init()), "--pid", "--mount", "timeout", "60"];
  using room = new ImageRoom();
  const directory = room.fresh();
  const ended = await stasis(["checkpoint", "1", "-D", directory], { through });
  assert.equal(ended.status, EXIT_STATUS.unsupported, ended.stderr);
  assert.match(
    ended.stderr,
    /task 1 \(sleep\) is the init of this pid namespace.*\n.*--leave-running/,
  );
  room.assertAbsent(directory);
  const saved = await stasis(["checkpoint", "1", "-R", "-D", directory], { through });
  assert.equal(saved.status, 0, saved.stderr);
  assert.ok(init() !== undefined, "the init is gone");
  // From outside it is told how: without ending it, and to the parent, which is not inside, nothing that leads nowhere.
  const { problems } = await failureOf(
    checkpoint(subject.pid, { directory: room.fresh() }),
  );
  const hintOf = (pid: number | undefined) => problems.find((one) => one.pid === pid)?.hint ?? "";
  assert.match(hintOf(init()), /nsenter --target \d+ --mount --pid stasis .* 1 --leave-running/);
  assert.match(hintOf(subject.pid), /^nothing helps while its children are born into another/);
});

Deno.test("nobody is told to mount over a /proc that is everybody's", async () => {
  const script = "echo ready; exec unshare --pid --fork --kill-child sleep 1000";
  await using subject = await Subject.spawn("bash", { args: ["-c", script] });
  await subject.waitReady();
  const init = () => processTree(subject.pid).find((pid) => readProcess(pid)?.comm === "sleep");
  await waitUntil(() => init() !== undefined, "the namespace to have an init");
  using room = new ImageRoom();
  const { problems } = await failureOf(checkpoint(init()!, { directory: room.fresh() }));
  assert.deepEqual(
    problems.map(({ hint = "" }) => /nothing helps .*(--mount-proc)/.exec(hint)?.[1]),
    [
      "--mount-proc",
    ],
  );
});

Deno.test("checkpoint refuses a kernel thread", async (t) => {
  const pid = allPids().find((pid) => readProcess(pid)?.ppid === 2);
  const name = pid === undefined ? "NOT RUN: no kernel thread can be seen here" : "a kernel thread";
  await t.step({
    name,
    ignore: pid === undefined,
    fn: () =>
      refuses(pid as number, {
        code: "unsupported",
        says: /is a kernel thread/,
        hint: /only user space can be checkpointed/,
      }),
  });
});

Deno.test("checkpoint refuses the tool itself, and a tree that it is in", async () => {
  using room = new ImageRoom();
  const itself = await failureOf(checkpoint(Deno.pid, { directory: room.fresh() }));
  assertSays(itself, {
    code: "unsupported",
    says: /is this tool itself/,
    hint: /name the process/,
  });
  await refuses(readProcess(Deno.pid)?.ppid ?? 1, {
    code: "unsupported",
    says: /its tree has this tool/,
    hint: /from outside the tree/,
  });
});

Deno.test("checkpoint refuses a thread's id and names its process", async () => {
  await using subject = await Subject.start("sud_threads", { args: ["2"] });
  const threads = [...Deno.readDirSync(`/proc/${subject.pid}/task`)].map(({ name }) => +name);
  const tid = threads.find((tid) => tid !== subject.pid) as number;
  const before = witness(subject.pid);
  await refuses(tid, {
    code: "unsupported",
    says: new RegExp(`${tid} is a thread of process ${subject.pid}`),
    hint: new RegExp(`checkpoint ${subject.pid}`),
  });
  assertUnharmed(before);
  await subject.expectPass();
});

for (const which of ["leader", "thread"]) {
  Deno.test(`checkpoint refuses a process whose ${which} is traced already`, async () => {
    await using subject = await start("tracer", [which]);
    const [traced, tid] = [Number(subject.fact("traced")), subject.fact("tid")];
    // What is traced cannot be looked at by ptrace: the snapshot alone has to tell.
    const before = witness(subject.pid, { dispatch: false });
    assert.equal(before.snapshot.get(`${traced}/thread/${tid}/status/TracerPid`), `${subject.pid}`);
    await refuses(traced, {
      code: "unsupported",
      says: new RegExp(`traced already, by task ${subject.pid}`),
      hint: /end the debugger, strace or other tracer first/,
    });
    assertUnharmed(before);
    await subject.expectPass();
  });
}

Deno.test("checkpoint refuses a tree in which one traces another, by their ids", async () => {
  await using subject = await start("tracer", ["leader"]);
  const before = witness(subject.pid, { dispatch: false });
  await refuses(subject.pid, {
    code: "unsupported",
    says: new RegExp(`traced already, by task ${subject.pid}`),
    hint: /end the debugger, strace or other tracer first/,
  });
  assertUnharmed(before);
  await subject.expectPass();
});

Deno.test("checkpoint refuses 32-bit programs by their executable", async (t) => {
  const missing = await cannotBuild32();
  await t.step({
    name: missing === "" ? "a 32-bit program" : `NOT RUN, cc -m32 does not work: ${missing}`,
    ignore: missing !== "",
    fn: async () => {
      await using subject = await start("compat", [], { flags: ["-m32"] });
      const before = witness(subject.pid, { dispatch: false });
      await refuses(subject.pid, {
        code: "unsupported",
        says: /it is a 32-bit \(compat\) program/,
        hint: /only 64-bit x86-64 programs/,
      });
      assertUnharmed(before);
      await subject.expectPass();
    },
  });
});

Deno.test("checkpoint refuses a 64-bit program that runs 32-bit code", async () => {
  await using subject = await start("compat_code");
  const before = witness(subject.pid);
  await refuses(subject.pid, {
    code: "unsupported",
    says: /runs 32-bit code/,
    hint: /only 64-bit x86-64 programs/,
  });
  assertUnharmed(before);
  await subject.expectPass();
});

for (const which of ["", "thread"]) {
  Deno.test(`checkpoint refuses a process that waits in vfork${which && " in a thread"}`, async () => {
    using room = new ImageRoom();
    const end = `${room.path}/end`;
    await using subject = await start("vfork", which === "" ? [end] : [end, which]);
    const before = witness(subject.pid, { dispatch: false });
    const begin = performance.now();
    await refuses(subject.pid, {
      code: "unsupported",
      says: new RegExp(`waits in vfork\\(2\\) for its child ${subject.fact("child")}`),
      hint: /try again/,
    });
    assert.ok(performance.now() - begin < 10_000, "in bounded time");
    assertUnharmed(before);
    Deno.writeTextFileSync(end, "");
    await subject.expectPass();
  });

  Deno.test(`checkpoint waits for a process to come back from vfork${which && " in a thread"}`, async () => {
    using room = new ImageRoom();
    const end = `${room.path}/end`;
    await using subject = await start("vfork", which === "" ? [end] : [end, which]);
    // Longer than a problem has to last for being refused, were it another one.
    const onEvent = (event: StasisEvent) => {
      const begins = event.kind === "phase" && event.phase === "survey";
      if (begins) setTimeout(() => Deno.writeTextFileSync(end, ""), 300);
    };
    await checkpoint(subject.pid, { directory: room.fresh(), leaveRunning: true, onEvent });
    await subject.expectPass();
  });
}

/** Python that has posix_spawn(3) in progress: the child waits for somebody to write to a fifo, and Python for the child. */
const SPAWNING = `import os, time
os.mkfifo("fifo")
opens = (os.POSIX_SPAWN_OPEN, 0, "fifo", os.O_RDONLY, 0)
pid = os.posix_spawn("/bin/true", ["true"], {}, file_actions=[opens])
print("ended with", os.waitpid(pid, 0)[1], flush=True)
time.sleep(1000)`;

/** Starts that. @returns it, with its child's id and what has the child go on */
async function startSpawning() {
  const subject = await Subject.spawn("/usr/bin/python3", { args: ["-c", SPAWNING] });
  const children = () => processTree(subject.pid).filter((pid) => pid !== subject.pid);
  await waitUntil(
    () => children().length === 1 && readProcess(children()[0]!)?.state === "S",
    () => `its child to wait: ${subject.errors()}`,
  );
  const goOn = () => Deno.writeTextFile(`${subject.cwd}/fifo`, "");
  return { subject, child: children()[0]!, goOn };
}

const SPAWNED = "ended with 0\n";

Deno.test("checkpoint refuses a process that waits in posix_spawn", async () => {
  const { subject, child, goOn } = await startSpawning();
  await using _subject = subject;
  await refuses(subject.pid, {
    code: "unsupported",
    says: new RegExp(`waits in vfork\\(2\\) for its child ${child}`),
    hint: /try again/,
  });
  await goOn();
  await waitUntil(() => subject.output() === SPAWNED, () => subject.errors());
});

Deno.test("checkpoint waits for a process to come back from posix_spawn", async () => {
  using room = new ImageRoom();
  const { subject, goOn } = await startSpawning();
  await using _subject = subject;
  const directory = room.fresh();
  let going: Promise<void> | undefined;
  const onEvent = (event: StasisEvent) => {
    const begins = event.kind === "phase" && event.phase === "survey";
    if (begins) going ??= new Promise((done) => setTimeout(() => done(goOn()), 300));
  };
  await checkpoint(subject.pid, { directory, onEvent });
  await going;
  await subject.waitGone();
  const tree = await restore(directory);
  await waitUntil(() => subject.output() === SPAWNED, () => subject.errors());
  tree.kill(9);
  await tree.wait();
});

Deno.test("what the kernel lacks is told together with everything else", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("sud_block");
  const lacking = definePlugin({
    name: "lacking",
    description: "needs a newer kernel",
    checkpoint: () => ({
      survey() {
        throw new StasisError("kernel-too-old", "this kernel has no such thing", { hint: "boot" });
      },
    }),
  });
  const objecting = definePlugin({
    name: "objecting",
    description: "objects",
    checkpoint: () => ({ survey: ({ problem }) => problem({ what: "it has a fault" }) }),
  });
  const refusal = async (...plugins: Plugin[]) =>
    await failureOf(checkpoint(subject.pid, { directory: room.fresh(), plugins }));
  const both = await refusal(lacking, objecting);
  assert.equal(both.code, "unsupported");
  assert.deepEqual(both.problems.map(({ plugin, what }) => [plugin, what]), [
    ["lacking", "this kernel has no such thing"],
    ["objecting", "it has a fault"],
  ]);
  const alone = await refusal(lacking);
  assert.deepEqual([alone.code, alone.message, alone.hint], [
    "kernel-too-old",
    "this kernel has no such thing",
    "boot",
  ]);
  await subject.expectPass();
});

Deno.test("checkpoint and restore without privilege are refused as such", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("sud_block");
  const before = witness(subject.pid);
  const directory = room.fresh();
  const refused = await stasis(["checkpoint", String(subject.pid), "-D", directory], {
    privileged: false,
  });
  assert.equal(refused.status, EXIT_STATUS["no-privilege"], refused.stderr);
  assert.match(
    refused.stderr,
    /^stasis: task \d+ .* may not be looked into without CAP_SYS_PTRACE$/m,
  );
  assert.match(refused.stderr, /^hint: .*root/m);
  assertUnharmed(before);
  room.assertAbsent(directory);

  await checkpoint(subject.pid, { directory });
  await subject.waitGone();
  const restored = await stasis(["restore", directory], { privileged: false });
  assert.equal(restored.status, EXIT_STATUS["no-privilege"], restored.stderr);
  assert.match(restored.stderr, /takes CAP_CHECKPOINT_RESTORE, which is missing$/m);
  assert.match(restored.stderr, /^hint: restore .*as root/m);
  assert.equal(readProcess(subject.pid), null);
});

Deno.test("checkpoint refuses a directory that is taken, or that cannot be made", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("sud_block");
  const before = witness(subject.pid);
  const full = `${room.path}/full`;
  Deno.mkdirSync(full);
  Deno.writeTextFileSync(`${full}/mine`, "mine");
  const file = `${full}/mine`;
  const cases: readonly [string, Refusal][] = [
    [full, { code: "exists", says: /exists and is not empty/, hint: /does not exist yet/ }],
    [file, { code: "exists", says: /exists and is not a directory/, hint: /does not exist yet/ }],
    [`${room.path}/no/where`, { code: "io", says: /ENOENT/, hint: /./ }],
    [`${file}/below`, { code: "io", says: /ENOTDIR/, hint: /./ }],
    // Nobody can make a directory in there, not even root.
    ["/proc/images", { code: "io", says: /ENOENT|EACCES|EPERM/, hint: /./ }],
    ["/proc", { code: "exists", says: /exists and is not empty/, hint: /does not exist yet/ }],
  ];
  for (const [directory, refusal] of cases) {
    assertSays(await failureOf(checkpoint(subject.pid, { directory })), refusal);
    const outcome = await stasis(["checkpoint", String(subject.pid), "-D", directory]);
    assert.equal(outcome.status, EXIT_STATUS[refusal.code], outcome.stderr);
    assert.match(outcome.stderr, refusal.says);
  }
  assert.equal(Deno.readTextFileSync(file), "mine");
  assert.deepEqual([...Deno.readDirSync(room.path)].map(({ name }) => name), ["full"]);
  assertUnharmed(before);
  await subject.expectPass();
});

/** @returns why 32-bit programs cannot be built here; nothing if they can */
async function cannotBuild32(): Promise<string> {
  try {
    const source = fileURLToPath(new URL("programs/compat.c", import.meta.url));
    await buildProgram(source, ["-m32"]);
    return "";
  } catch (error) {
    return `${(error as Error).message.split("\n")[1]} (Debian's package is gcc-multilib)`;
  }
}

/** Programs at one of their limits, so that nothing can be mapped in them any more. */
const FULL: Readonly<
  Record<string, { readonly script: string; readonly says: RegExp; readonly hint?: RegExp }>
> = {
  "address space": {
    script: "resource.setrlimit(resource.RLIMIT_AS, (1, 1))",
    says: /cannot have the \d+ KiB of memory .*RLIMIT_AS, 0 KiB/,
  },
  data: {
    script: "resource.setrlimit(resource.RLIMIT_DATA, (1, 1))",
    says: /cannot have the \d+ KiB of memory .*RLIMIT_DATA, 0 KiB/,
  },
  mappings: {
    // Neighbours that differ in their protection are not merged.
    script: `
mmap = ctypes.CDLL(None).mmap
mmap.restype = ctypes.c_ssize_t
count = 0
while mmap(None, ctypes.c_size_t(4096), 1 + (count & 1), 0x22, -1, ctypes.c_long(0)) != -1:
    count += 1`,
    says: /it has \d+ of the \d+ mappings that a process may have \(vm\.max_map_count\)/,
  },
  addresses: {
    // Nothing but reserved: MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE.
    script: `
mmap = ctypes.CDLL(None).mmap
mmap.restype = ctypes.c_ssize_t
for bits in range(46, 11, -1):
    while mmap(None, ctypes.c_size_t(1 << bits), 0, 0x4022, -1, ctypes.c_long(0)) != -1:
        pass`,
    says: /its address space has no hole of that size/,
    hint: /unmap something/,
  },
};

for (const [what, { script, says, hint = /raise that limit/ }] of Object.entries(FULL)) {
  Deno.test(`checkpoint refuses a program at its limit of ${what}, and leaves it as it was`, async () => {
    await using subject = await Subject.run("/usr/bin/python3", {
      args: [
        "-c",
        `import ctypes, resource, time\nctypes.CDLL(None)\n${script}\nprint("ready", flush=True)\ntime.sleep(1000)`,
      ],
    });
    const before = witness(subject.pid);
    await refuses(subject.pid, { code: "unsupported", says, hint });
    assertUnharmed(before);
  });
}
