/**
 * The command line is told to end, by every signal that says so and in every phase; or a tree stands still for longer
 * than it may: the command ends soon, the target runs on unharmed, and nothing is left.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { EXIT_STATUS } from "../../base/errors.ts";
import { checkpoint, definePlugin } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { processTree, waitUntil } from "../harness/processes.ts";
import { startStasis, stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { assertUnharmed, ImageRoom, isTaken, witness } from "../harness/unharmed.ts";

/** A second is promised, of a machine that has nothing else to do. */
const SOON = 1_000;
/** How many times longer than the shortest command it may take beside that on one that has. */
const ALLOWANCE = 10;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

async function start(name: string, args: readonly string[] = []): Promise<Subject> {
  const source = fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
  return await Subject.run(await buildProgram(source), { args });
}

/** Runs a command until it says that it is in a phase, cancels it some time later, and again. */
async function cancelIn(
  phase: string,
  delay: number,
  signal: Deno.Signal,
  args: readonly string[],
): Promise<number> {
  const idle = performance.now();
  await stasis(["--version"]);
  const limit = SOON + ALLOWANCE * (performance.now() - idle);
  const command = startStasis([...args, "-v"]);
  const wanted = new RegExp(`ms ${phase}$`, "m");
  await waitUntil(() => command.ended || wanted.test(command.stderr()), () => command.stderr());
  await new Promise((resolve) => setTimeout(resolve, delay));
  const begin = performance.now();
  command.kill(signal);
  // Who is impatient does no harm.
  command.kill(signal);
  const { status, stderr } = await command.outcome;
  const took = performance.now() - begin;
  assert.ok(took < limit, `${phase}: ${took} ms of ${limit}`);
  if (status !== 0) {
    assert.equal(status, EXIT_STATUS.cancelled, `${phase} ${delay} ${signal}: ${stderr}`);
    assert.match(stderr, /^stasis: cancelled$/m);
    assert.doesNotMatch(stderr, /^ +at /m, "a stack trace is nothing for users");
  }
  return status;
}

Deno.test("a checkpoint that is cancelled ends soon in every phase, and leaves a large target unharmed", async () => {
  using room = new ImageRoom();
  await using subject = await start("large", ["400", "2000", "128"]);
  const before = witness(subject.pid, { dispatch: false });
  let round = 0;
  let cancelled = 0;
  for (const phase of ["survey", "freeze", "dump", "pages", "commit"]) {
    for (const delay of [0, 60]) {
      const directory = room.fresh();
      const signal = SIGNALS[round++ % SIGNALS.length] as Deno.Signal;
      const pid = String(subject.pid);
      // One that would end the target must not have ended it.
      const options = phase === "survey" || phase === "freeze" ? [] : ["-R"];
      const status = await cancelIn(phase, delay, signal, [
        ...["checkpoint", pid, "-D", directory],
        ...options,
      ]);
      assertUnharmed(before);
      if (status === 0) continue;
      room.assertAbsent(directory);
      cancelled++;
    }
  }
  assert.ok(cancelled >= 6, `only ${cancelled} were cancelled before they were done`);
  await subject.expectPass();
});

Deno.test("a restore that is cancelled ends soon in every phase, and leaves nothing", async () => {
  using room = new ImageRoom();
  await using subject = await start("large", ["400", "2000", "128"]);
  const { pid } = subject;
  const directory = room.fresh();
  await checkpoint(pid, { directory });
  let cancelled = 0;
  for (const [index, phase] of ["load", "plan", "build", "arm"].entries()) {
    const signal = SIGNALS[index] as Deno.Signal;
    const status = await cancelIn(phase, 0, signal, ["restore", directory, "--detach"]);
    if (status === 0) {
      Deno.kill(pid, "SIGKILL");
      await waitUntil(() => !isTaken(pid), "the tree to be gone");
      continue;
    }
    assert.equal(isTaken(pid), false, `${phase}: something of the tree is left`);
    cancelled++;
  }
  assert.ok(cancelled >= 2, `only ${cancelled} were cancelled before they were done`);
});

Deno.test("a checkpoint whose tree may not stand still for long enough says so, and harms nothing", async () => {
  using room = new ImageRoom();
  await using subject = await start("large", ["100", "100", "1"]);
  const before = witness(subject.pid, { dispatch: false });
  const directory = room.fresh();
  const short = await stasis([
    "checkpoint",
    `${subject.pid}`,
    "-D",
    directory,
    "--timeout",
    "0.001",
  ]);
  assert.equal(short.status, EXIT_STATUS.timeout, short.stderr);
  assert.match(short.stderr, /in 0\.001 s|in time|does not stop/);
  assert.match(short.stderr, /--timeout/);
  room.assertAbsent(directory);
  assertUnharmed(before);
  const unlimited = ["checkpoint", `${subject.pid}`, "-R", "-D", directory, "--timeout", "0"];
  assert.equal((await stasis(unlimited)).status, 0);
  assertUnharmed(before);
  await subject.expectPass();
});

Deno.test("a checkpoint of a thread that does not stop ends when time is over, or when it is cancelled", async () => {
  using room = new ImageRoom();
  await using subject = await start("uninterruptible");
  const childOf = () => processTree(subject.pid)[1];
  await waitUntil(() => childOf() !== undefined, "the child for which it waits");
  const child = childOf() as number;
  const directory = room.fresh();
  const args = ["checkpoint", `${subject.pid}`, "-R", "-D", directory];
  const limited = await stasis([...args, "--timeout", "0.5"]);
  assert.equal(limited.status, EXIT_STATUS.timeout, limited.stderr);
  assert.match(
    limited.stderr,
    new RegExp(`thread ${subject.pid} of task ${subject.pid} does not stop`),
  );
  room.assertAbsent(directory);
  assert.equal(await cancelIn("freeze", 300, "SIGTERM", [...args, "--timeout", "0"]), 130);
  room.assertAbsent(directory);
  // It is let go of, as is the child for which it waits.
  Deno.kill(child, "SIGUSR1");
  await subject.expectPass();
});

Deno.test("a checkpoint of a program whose file system does not answer is refused, and can be cancelled", async () => {
  using room = new ImageRoom();
  const mountPoint = `${room.path}/mount`;
  Deno.mkdirSync(mountPoint);
  await using server = await start("mute_fuse", [mountPoint]);
  const script = 'exec 5<"$0/file"; echo ready; exec sleep 1000';
  await using subject = await Subject.spawn("bash", { args: ["-c", script, mountPoint] });
  // Whoever looks at what lies in a queue gets a descriptor of it, and nobody could close that.
  const send = `import os, signal, socket, sys
one, other = socket.socketpair()
file = os.open(sys.argv[1] + "/file", os.O_RDONLY)
socket.send_fds(one, [b"x"], [file])
os.close(file)
print("ready", flush=True)
signal.pause()`;
  await using sender = await Subject.spawn("python3", { args: ["-c", send, mountPoint] });
  try {
    await subject.waitReady();
    await sender.waitReady();
    Deno.kill(server.pid, "SIGTERM");
    await waitUntil(() => /^mute$/m.test(server.output()), () => server.output());
    const directory = room.fresh();
    const args = ["checkpoint", `${subject.pid}`, "-R", "-D", directory];
    const outcome = await stasis(args);
    assert.equal(outcome.status, EXIT_STATUS.unsupported, outcome.stderr);
    assert.match(outcome.stderr, /files of a file system that does not answer, .*mount \(fuse\)/);
    assert.match(outcome.stderr, /umount -f/);
    const inFlight = await stasis(["checkpoint", `${sender.pid}`, "-R", "-D", directory]);
    assert.equal(inFlight.status, EXIT_STATUS.unsupported, inFlight.stderr);
    assert.match(inFlight.stderr, /in queues of its sockets .*may be of a file system that does/);
    assert.equal(await cancelIn("survey", 300, "SIGINT", args), EXIT_STATUS.cancelled);
    room.assertAbsent(directory);
  } finally {
    // Without it the kernel fails what waits; before, not even a process that has the file open could end.
    Deno.kill(server.pid, "SIGKILL");
    await new Deno.Command("umount", { args: ["--lazy", mountPoint] }).output();
  }
});

for (const name of ["sud_block", "seccomp_guard"]) {
  Deno.test(`a checkpoint in which a call of ${name} waits for ever ends when time is over`, async () => {
    using room = new ImageRoom();
    await using subject = await Subject.start(name);
    const before = witness(subject.pid);
    const directory = room.fresh();
    const waits = definePlugin({
      name: "waits",
      description: "makes a call that nothing ends",
      checkpoint: () => ({
        dumpTask: ({ remote }) => void remote.tryCall("select", 0, 0, 0, 0, 0),
      }),
    });
    const options = { timeout: 300 };
    await assert.rejects(
      checkpoint(subject.pid, { directory, plugins: [waits], leaveRunning: true, options }),
      { code: "timeout" },
    );
    room.assertAbsent(directory);
    assertUnharmed(before);
    await subject.expectPass();
  });
}
