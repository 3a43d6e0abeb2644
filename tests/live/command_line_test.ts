/** The commands as users run them: results, exit statuses, signals. */

import assert from "@std/assert";
import { EXIT_STATUS, StasisError } from "../../base/errors.ts";
import { restore } from "../../mod.ts";
import { isAlive, readProcess, waitUntil } from "../harness/processes.ts";
import { stasis as stasisCommand } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { becomesSleep, ImageHome, startSleeper } from "./round_trip.ts";

const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;

interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], cwd?: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", MAIN, ...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function finish(child: Deno.ChildProcess): Promise<Finished> {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { status: code, stdout: text(stdout), stderr: text(stderr) };
}

async function stasis(...args: string[]): Promise<Finished> {
  return await finish(start(args));
}

/** Whether a restored script is complete and nobody traces it. */
function runs(pid: number): boolean {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    return status.startsWith("Name:\tperl\n") && /^TracerPid:\t0$/m.test(status);
  } catch {
    return false;
  }
}

async function succeeds(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await stasis(...args);
  assert.equal(status, 0, stderr);
  return stdout;
}

Deno.test("checkpoint and restore --detach tell scripts what they did", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("");
  const saved = JSON.parse(
    await succeeds("dump", "-t", String(subject.pid), "-D", images.directory, "--json"),
  );
  assert.equal(saved.pid, subject.pid);
  assert.equal(saved.directory, images.directory);
  assert.equal(saved.tasks, 1);
  assert.equal(saved.threads, 1);
  assert.ok(saved.bytes > 4096 && saved.frozenMs > 0 && saved.totalMs >= saved.frozenMs);
  await subject.waitGone();

  const plan = await succeeds("restore", images.directory, "--dry-run");
  assert.match(plan, /^\[\d+\] openat\(AT_FDCWD, /m);
  assert.equal(readProcess(subject.pid), null, "a dry run does nothing");

  const tree = JSON.parse(await succeeds("restore", "-D", images.directory, "--detach", "--json"));
  const { pid } = subject;
  assert.deepEqual(tree, { pid, innerPid: pid, pids: [pid] });
  await becomesSleep(subject.pid);
  assert.ok(subject.alive);
});

Deno.test("checkpoint --leave-running writes to stasis-PID where nothing else is said", async () => {
  using images = new ImageHome();
  await Deno.mkdir(images.directory);
  await using subject = await startSleeper("");
  const args = ["checkpoint", String(subject.pid), "--leave-running", "--json"];
  const { status, stderr } = await finish(start(args, images.directory));
  assert.equal(status, 0, stderr);
  assert.deepEqual([...Deno.readDirSync(images.directory)].map(({ name }) => name), [
    `stasis-${subject.pid}`,
  ]);
  assert.ok(subject.alive);
});

Deno.test("restore in the foreground hands on signals and ends as the root does", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/perl", {
    args: [
      "-e",
      `$| = 1; $SIG{TERM} = sub { exit 7 }; $SIG{INT} = sub { print "got INT\\n" };
       print "ready\\n"; select(undef, undef, undef, 0.05) while 1;`,
    ],
  });
  await subject.waitReady();
  await succeeds("checkpoint", String(subject.pid), "-D", images.directory);
  for (const ending of ["exit", "kill"] as const) {
    await subject.waitGone();
    const before = subject.output().length;
    const child = start(["restore", images.directory]);
    // A signal that comes before the tree runs would cancel the restore.
    await waitUntil(() => runs(subject.pid), "the root to run");
    await waitUntil(() => {
      child.kill("SIGINT");
      return subject.output().slice(before).includes("got INT");
    }, () => `the signal to arrive: ${subject.output()}${subject.errors()}`);
    if (ending === "exit") child.kill("SIGTERM");
    else Deno.kill(subject.pid, "SIGKILL");
    const { status, stdout, stderr } = await finish(child);
    assert.equal(status, ending === "exit" ? 7 : 137, stderr);
    assert.equal(stdout, "");
  }
});

Deno.test("SIGINT cancels a checkpoint, and the target runs on", async () => {
  using images = new ImageHome();
  const fill = `my $x = "x" x 400_000_000; $| = 1; print "ready\\n"; sleep 1000;`;
  await using subject = await Subject.spawn("/usr/bin/perl", { args: ["-e", fill] });
  await subject.waitReady();
  const home = images.directory.slice(0, images.directory.lastIndexOf("/"));
  const child = start(["checkpoint", String(subject.pid), "-D", images.directory, "--json"]);
  await waitUntil(() => [...Deno.readDirSync(home)].length > 0, "the checkpoint to begin");
  child.kill("SIGINT");
  const { status, stdout, stderr } = await finish(child);
  assert.equal(status, 130, stderr);
  assert.equal(JSON.parse(stdout).error.code, "cancelled");
  assert.deepEqual([...Deno.readDirSync(home)], [], "no directory is left");
  assert.equal(readProcess(subject.pid)?.state, "S");
});

Deno.test("what goes wrong has its exit status", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("");
  const pid = String(subject.pid);
  await succeeds("checkpoint", pid, "-D", images.directory, "--leave-running");
  const cases: [number, string, string[]][] = [
    [2, "usage", ["checkpoint", "nonsense"]],
    [2, "usage", ["checkpoint", pid, "--no-such-option"]],
    [3, "no-such-task", ["checkpoint", "2147483646"]],
    [4, "unsupported", ["checkpoint", "2"]],
    [7, "bad-image", ["restore", `${images.directory}/none`]],
    [7, "bad-image", ["inspect", "/"]],
    [8, "exists", ["checkpoint", pid, "-D", images.directory]],
    [9, "conflict", ["restore", images.directory]],
  ];
  for (const [status, code, args] of cases) {
    const result = await stasis(...args, "--json");
    assert.equal(result.status, status, `${args.join(" ")}: ${result.stderr}`);
    assert.equal(JSON.parse(result.stdout).error.code, code);
    assert.match(result.stderr, /^stasis: \S/);
    assert.ok(isAlive(subject.pid));
  }
});

Deno.test("inspect shows each thread's Syscall User Dispatch", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("sud_threads", { args: ["4"] });
  await succeeds("checkpoint", String(subject.pid), "-D", images.directory, "--leave-running");
  const { tasks, plugins } = JSON.parse(await succeeds("inspect", images.directory, "--json"));
  assert.deepEqual(plugins, ["sud"]);
  const [{ pid, threads }] = tasks;
  assert.equal(pid, subject.pid);
  const on = threads.filter(({ sud }: { sud: unknown }) => sud !== null);
  assert.equal(on.length, 3, "one of every four threads leaves it off");
  const selectors = new Set(on.map(({ sud }: { sud: { selector: string } }) => sud.selector));
  assert.equal(selectors.size, 3, "each has its own selector");
  const text = await succeeds("inspect", images.directory);
  assert.equal(text.match(/SUD exclusive, .* selector 0x/g)?.length, 3);
  assert.match(text, new RegExp(`^${pid} sud_threads\\S* +alive +\\d+ threads +SUD on in 3`, "m"));
  await subject.expectPass();
});

Deno.test("check finds what this machine can do", async () => {
  const report = JSON.parse(await succeeds("check", "--json"));
  assert.equal(report.usable, true);
  assert.ok(["ptrace", "series", "none"].includes(report.sudBackend));
  assert.ok(report.features.length > 0);
});

Deno.test("a /proc of another pid namespace is noticed", async () => {
  for (const args of [["check"], ["checkpoint", "1", "--leave-running"]]) {
    const through = ["unshare", "--pid", "--fork"];
    const { status, stderr } = await stasisCommand(args, { through });
    assert.equal(status, EXIT_STATUS.unsupported, stderr);
    assert.match(stderr, /^stasis: \/proc is of another pid namespace than this process/m);
    assert.match(stderr, /^hint: .* start it with one: unshare --pid --fork --mount-proc$/m);
  }
});

Deno.test("a tree is left stopped, and others are told that it is restored, as by CRIU", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("");
  const { pid } = subject;
  const home = images.directory.slice(0, images.directory.lastIndexOf("/"));
  const path = (name: string) => `${home}/${name}`;
  const read = (name: string) => Deno.readTextFileSync(path(name));
  const isStopped = () => waitUntil(() => readProcess(pid)?.state === "T", "it to be stopped");

  await succeeds("dump", "-t", `${pid}`, "-D", images.directory, "-s", "-v4", "-o", path("log"));
  await isStopped();
  assert.match(read("log"), / ms commit\n/);
  // Steps with their times, and calls that the task has made.
  const steps = ["is stopped", "tell their state", `task ${pid} \\(sleep\\)`, "pages of memory"];
  for (const step of steps) {
    assert.match(read("log"), new RegExp(`^ +\\d+\\.\\d ms .*${step}`, "m"));
  }
  assert.match(read("log"), /^ {15}rt_sigprocmask\(|^ {15}prctl\(/m);
  assert.match(await succeeds("inspect", images.directory, "-v"), /^phases\n +survey +\d/m);
  Deno.kill(pid, "SIGCONT");
  await waitUntil(() => readProcess(pid)?.state === "S", "it to run on");
  const tell = ["--pidfile", path("pid"), "-o", path("log")];
  const refused = await stasis("restore", images.directory, ...tell);
  assert.equal(refused.status, EXIT_STATUS.conflict, refused.stderr);
  assert.throws(() => read("pid"), Deno.errors.NotFound);
  assert.match(read("log"), new RegExp(` ms failed: pid ${pid} is taken by`));

  Deno.kill(pid, "SIGKILL");
  await subject.waitGone();
  const through = (redirections: string) => ({
    through: ["/bin/sh", "-c", `exec "$@" ${redirections}`, "sh"],
  });
  const restoreWith = (...more: string[]) => ["restore", images.directory, "-d", "-s", ...more];
  // The runtime's own, under a number that nobody has redirected; and one that cannot be written to.
  for (const more of [["--status-fd", "3"], ["--inherit-fd", "fd[3]:pipe:[1]"]]) {
    const own = await stasisCommand(restoreWith(...more), through("3>&-"));
    assert.equal(own.status, EXIT_STATUS.usage, own.stderr);
    assert.match(own.stderr, /names descriptor 3, which is not open\n/);
  }
  const unwritable = await stasisCommand(restoreWith("--status-fd", "0"), through("</dev/null"));
  assert.equal(unwritable.status, EXIT_STATUS.usage, unwritable.stderr);
  // What cannot be told of a tree before it runs, as its pid on a full disk, fails the restore.
  const untold = () => {
    throw new StasisError("io", `no room for ${pid}`);
  };
  await assert.rejects(() => restore(images.directory, { beforeRun: untold }), /no room for/);
  assert.ok(!isAlive(pid));

  const restored = await stasisCommand(
    restoreWith(...tell, "--status-fd", "5"),
    through(`5>${path("status")}`),
  );
  assert.equal(restored.status, 0, restored.stderr);
  await isStopped();
  assert.equal(read("pid"), `${pid}`);
  assert.equal(read("status"), "\0");
  assert.match(read("log"), new RegExp(` ms +task ${pid}, memory: \\d+ calls\n`));
  assert.equal((await stasis("restore", images.directory, ...tell)).status, EXIT_STATUS.exists);
  assert.equal(read("pid"), `${pid}`);
});

Deno.test("what cannot be printed is told by the exit status, and takes nothing away", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("");
  const full = (redirection: string) => ({
    through: ["/bin/sh", "-c", `exec "$@" ${redirection}`, "sh"],
  });
  const asked = await stasisCommand(["check"], full(">/dev/full"));
  assert.equal(asked.status, EXIT_STATUS.io, asked.stderr);
  assert.match(asked.stderr, /cannot print the result: ENOSPC/);

  const save = ["checkpoint", String(subject.pid), "-D", images.directory];
  const saved = await stasisCommand([...save, "-v"], full(">/dev/full 2>&1"));
  assert.equal(saved.status, EXIT_STATUS.io);
  const back = await stasisCommand(["restore", images.directory, "--detach"], full("2>/dev/full"));
  assert.equal(back.status, 0);
  assert.ok(isAlive(subject.pid));

  Deno.kill(subject.pid, "SIGKILL");
  await subject.waitGone();
  const unheard = await stasisCommand(["restore", images.directory, "-d"], full(">/dev/full"));
  assert.equal(unheard.status, EXIT_STATUS.io);
  assert.match(unheard.stderr, new RegExp(`ENOSPC; the tree runs as ${subject.pid}\n`));
  assert.ok(isAlive(subject.pid));
});
