/**
 * The tool is killed by SIGKILL at any of its system calls, from the first ptrace request of a checkpoint to its end:
 * the target runs on as if nothing had happened.
 *
 * A sample of all moments is spread over the subjects. `deno task test:kill` takes a large one, and kills the tool beside
 * a Go program and a JVM as well, where these are installed.
 */
import { readStatus } from "../../core/linux/procfs/mod.ts";
import assert from "@std/assert";
import { buildGo } from "../harness/build.ts";
import { type Act, actAtMoment, killTool, type TracedRun } from "../harness/kill_at_call.ts";
import {
  awaitStops,
  isAlive,
  outlives,
  processTree,
  readProcess,
  stoppedThreads,
  waitUntil,
} from "../harness/processes.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { skip } from "../harness/skip.ts";
import { stasis } from "../harness/stasis_command.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { Subject } from "../harness/subject.ts";
import { dispatchOf, ImageRoom } from "../harness/unharmed.ts";
import { script } from "../programs/scenario.ts";
import { variantName } from "../harness/variants.ts";
import { backend, hasModeOf, restless } from "./dispatch.ts";

/** What is saved while the tool is killed. */
const SUBJECTS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["mem_anon", "100"],
  ["mem_mlock"],
  ["threads_many", "100"],
  ["tree_sessions"],
  ["cow_tree", "own"],
  ["tables_shared", "24"],
  ["unix_service"],
  ["inet_tcp"],
  ["regs_trap_flag", "call"],
  ["rseq_section"],
  ["restart_poll", "forever"],
  ["restart_futex", "forever"],
  ["restart_futex", "pi"],
  ["restart_pause", "pause"],
  ["restart_read", "read"],
  ["restart_wait4"],
  ["sig_altstack"],
  ["sig_pending"],
  ["ptys"],
  ["pty_full"],
  ["sig_stopped"],
  ["signalfd"],
  ["timer_posix"],
  ["creds_caps", "user"],
  ["creds_caps", "nnp"],
  ["seccomp_guard", "4"],
  ["seccomp_strict"],
  ["seccomp_threads", "tsync", "10"],
  ["seccomp_verdicts"],
  ["sud_allow"],
  ["sud_block"],
  ["sud_block", "busy"],
  ["sud_blocked_in_call", "read"],
  ["sud_blocked_in_call", "poll"],
  ["sud_blocked_in_call", "futex"],
  ["sud_empty_range"],
  ["sud_fork"],
  ["sud_guard", "4"],
  ["sud_in_handler"],
  ["sud_in_handler", "alt", "nested"],
  ["sud_inclusive"],
  ["sud_leave"],
  ["sud_null_selector"],
  ["sud_pending", "thread"],
  ["sud_threads", "16"],
];

/** The same, for subjects that wait for a time and then look how long that was: each is there for one kill. */
const TIMED: typeof SUBJECTS = [
  ["restart_nanosleep", "plain"],
  ["restart_poll", "timeout"],
  ["restart_futex", "timeout"],
  ["sud_blocked_in_call", "nanosleep"],
];

/**
 * Programs whose runtimes work on while nobody asks them to, so that only they themselves can say whether all is well:
 * for `deno task test:kill`, in which each has this part of all kills.
 */
const RUNTIMES: readonly {
  readonly name: string;
  start(room: ImageRoom): Promise<Subject | string>;
}[] = [
  { name: "a Go program", start: startGo },
  { name: "a JVM", start: startJvm },
];
const RUNTIME_PART = 20;

/** Whether this is `deno task test:kill`. */
const MANY = Deno.env.has("STASIS_MANY_KILLS");
/** How many kills, all subjects together. */
const KILLS = Number(Deno.env.get("STASIS_KILLS") ?? (MANY ? 2000 : 150));
assert.ok(Number.isInteger(KILLS), "STASIS_KILLS is a number");

/** For how long the tool is stopped before it goes on. */
const STOPPED = MANY ? 60_000 : 1_000;

/** What subjects change by their own work. */
function changing(name: string): readonly RegExp[] {
  return [...restless(name), /\/fdinfo\/\d+\/(it_value|ticks|pos)$/, /\/status\/(SigPnd|ShdPnd)$/];
}

/** Where in the run of a checkpoint a kill falls, from 0 to 1: spread evenly, and elsewhere each time. */
function spread(index: number, count: number): number {
  return (index + Math.random()) / count;
}

/** How many of all kills are those of one subject. */
function shareOf(index: number): number {
  const upTo = (subjects: number) =>
    Math.floor((KILLS * subjects) / (SUBJECTS.length + TIMED.length));
  return upTo(index + 1) - upTo(index);
}

/** A test in which a subject is saved while the tool is killed. */
function killTest(
  [name, ...args]: typeof SUBJECTS[number],
  run: (args: readonly string[], t: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({
    name: `${variantName(name, args)} runs on as it was wherever the tool is killed`,
    ignore: name.startsWith("sud_") && !(backend.usable && hasModeOf(name)),
    fn: (t) => run(args, t),
  });
}

/** The arguments of a checkpoint of a subject, which may take long where each of its calls is looked at. */
function saving(subject: Subject, room: ImageRoom): string[] {
  const to = room.fresh();
  return ["checkpoint", String(subject.pid), "-D", to, "--leave-running", "--timeout", "120"];
}

for (const [index, subjectLine] of SUBJECTS.entries()) {
  const [name] = subjectLine;
  const share = shareOf(index);
  if (share === 0) continue;
  killTest(subjectLine, async (args, t) => {
    await using subject = await Subject.start(name, { args });
    if (subject.unsupported !== null) return skip(t, subject.unsupported);
    using room = new ImageRoom();
    const stopped = stoppedThreads(subject.pid);
    const { moments, status, stderr } = await actAtMoment(saving(subject, room), Infinity);
    assert.equal(status.code, 0, stderr);
    for (let kill = 0; kill < share; kill++) {
      const moment = Math.floor(spread(kill, share) * moments);
      // Whoever looks at the dispatch of a thread stops it, too.
      await awaitStops(stopped);
      const before = look(subject.pid);
      const run = await actAtMoment(saving(subject, room), moment);
      await awaitStops(stopped);
      assertAsBefore(name, before, look(subject.pid), `killed at ${describe(run)}`);
    }
    await awaitStops(stopped); // before the program itself looks
    await subject.expectPass();
  });
}

for (const [index, subjectLine] of TIMED.entries()) {
  const [name] = subjectLine;
  const share = shareOf(SUBJECTS.length + index);
  if (share === 0) continue;
  killTest(subjectLine, async (args) => {
    using room = new ImageRoom();
    let moments = 0;
    for (let kill = 0; kill < share; kill++) {
      await using subject = await Subject.start(name, { args });
      if (moments === 0) moments = (await actAtMoment(saving(subject, room), Infinity)).moments;
      const run = await actAtMoment(
        saving(subject, room),
        Math.floor(spread(kill, share) * moments),
      );
      assert.ok(subject.alive, `it died: killed at ${describe(run)}: ${run.stderr}`);
      await subject.expectPass();
    }
  });
}

/** Calls that any handled signal ends, and that go on where none was: killed with their tool whenever a mask is set. */
for (const call of MANY ? ["pause", "select", "sigsuspend", "msgrcv"] : ["pause"]) {
  Deno.test(`restart_pause (${call}) waits on wherever the tool is killed as signals are blocked or not any more`, async () => {
    await using subject = await Subject.start("restart_pause", { args: [call] });
    using room = new ImageRoom();
    const setsMask = (call: string) => call === "ptrace SETSIGMASK";
    let moments = 0;
    await actAtMoment(saving(subject, room), Infinity, killTool, (call) => {
      if (setsMask(call)) moments++;
    });
    assert.ok(moments >= 8, `two threads are parked and let go: ${moments} moments`);
    for (let moment = 0; moment < moments; moment++) {
      const before = look(subject.pid);
      let seen = 0;
      const run = await actAtMoment(
        saving(subject, room),
        (call) => setsMask(call) && seen++ === moment,
      );
      const what = `killed at ${describe(run)}, mask ${moment}`;
      assertAsBefore("restart_pause", before, look(subject.pid), what);
    }
    await subject.expectPass();
  });
}

/** Starts goroutines, which the runtime preempts by SIGURG. @returns why there is none, where there is none */
async function startGo(room: ImageRoom): Promise<Subject | string> {
  const program = `${room.path}/preempted`;
  const missing = await buildGo(script("preempted.go"), program);
  if (missing !== undefined) return missing;
  return await Subject.run(program, { timeoutMs: 60_000 });
}

/** Starts a JVM. @returns why there is none, where there is none */
async function startJvm(): Promise<Subject | string> {
  const found = await new Deno.Command("sh", { args: ["-c", "command -v javac"] }).output();
  if (!found.success) return "there is no Java: install default-jdk-headless";
  const args = ["-Xmx64m", script("Working.java")];
  return await Subject.run("java", { args, timeoutMs: 120_000 });
}

for (const { name, start } of MANY ? RUNTIMES : []) {
  Deno.test(`${name} works on wherever the tool is killed`, async (t) => {
    using room = new ImageRoom();
    const started = await start(room);
    if (typeof started === "string") return skip(t, started);
    await using subject = started;
    const kills = Math.ceil(KILLS / RUNTIME_PART);
    for (let kill = 0, moments = Infinity; kill < kills; kill++) {
      const moment = kill === 0 ? Infinity : Math.floor(spread(kill, kills) * moments);
      const run = await actAtMoment(saving(subject, room), moment);
      if (kill === 0) assert.equal(run.status.code, 0, run.stderr);
      if (kill === 0) moments = run.moments;
      assert.ok(subject.alive, `it died: killed at ${describe(run)}: ${subject.errors()}`);
    }
    await subject.expectPass(60_000);
    assert.equal(subject.errors(), "");
  });
}

function look(pid: number) {
  return { snapshot: takeSnapshot(pid), dispatch: dispatchOf(pid), filters: seccompOf(pid) };
}

function assertAsBefore(
  name: string,
  before: ReturnType<typeof look>,
  after: ReturnType<typeof look>,
  what: string,
): void {
  const ignore = changing(name);
  assert.deepEqual(diffSnapshots(before.snapshot, after.snapshot, { ignore }), [], what);
  // A thread of sud_leave turns its dispatch on and off all the time.
  if (name !== "sud_leave") assert.deepEqual(after.dispatch, before.dispatch, what);
  assert.deepEqual(after.filters, before.filters, what);
}

function describe({ call = "its end", moments }: TracedRun): string {
  return `${call}, moment ${moments}`;
}

/** Runs checkpoints of a subject that leave it running, does something at moments spread over them, and looks. */
async function atMoments(
  subject: Subject,
  count: number,
  act: Act,
  judge: (run: TracedRun, before: ReturnType<typeof look>) => void | Promise<void>,
): Promise<void> {
  using room = new ImageRoom();
  const { moments } = await actAtMoment(saving(subject, room), Infinity);
  for (let turn = 0; turn < count; turn++) {
    const before = look(subject.pid);
    const moment = Math.floor(spread(turn, count) * moments);
    await judge(await actAtMoment(saving(subject, room), moment, act), before);
  }
}

for (const name of ["mem_anon", "sud_guard"]) {
  const needsBackend = { ignore: name === "sud_guard" && !backend.usable };

  Deno.test({
    name: `${name} does not notice that the guardian is killed, and the tool goes on`,
    ...needsBackend,
    async fn() {
      await using subject = await Subject.start(name);
      const killFirst: Act = (_tool, [first]) => {
        if (first !== undefined) Deno.kill(first, "SIGKILL");
      };
      await atMoments(subject, 4, killFirst, (run, before) => {
        // Before it has done its work, its maker cannot do without it.
        assert.ok([0, 11].includes(run.status.code), run.stderr);
        assertAsBefore(name, before, look(subject.pid), describe(run));
      });
      await subject.expectPass();
    },
  });

  Deno.test({
    name:
      `${name} runs on, or is ended, where the guardian is killed with the tool: never without what it had`,
    ...needsBackend,
    async fn() {
      const killBoth: Act = (tool, [first]) => {
        if (first !== undefined) Deno.kill(first, "SIGKILL");
        Deno.kill(tool, "SIGKILL");
      };
      let ended = 0;
      // On a busy machine the tool makes other calls, and more of them, where the target runs.
      for (let turn = 0; turn < 6 || ended === 0 && turn < 40; turn++) {
        await using subject = await Subject.start(name);
        using room = new ImageRoom();
        const { moments } = await actAtMoment(saving(subject, room), Infinity);
        await actAtMoment(
          saving(subject, room),
          Math.floor(spread(turn % 6, 6) * moments),
          killBoth,
        );
        if (await outlives(subject.pid)) await subject.expectPass();
        else ended++;
        assert.equal(subject.output().includes("LEAKED"), false, subject.output());
      }
      assert.ok(ended > 0, "it was never in need of the guardian");
    },
  });

  Deno.test({
    name: `${name} may be killed while the guardian works`,
    ...needsBackend,
    async fn() {
      for (let turn = 0; turn < 4; turn++) {
        await using subject = await Subject.start(name);
        await atMoments(subject, 1, (tool) => {
          Deno.kill(tool, "SIGKILL");
          Deno.kill(subject.pid, "SIGKILL");
        }, async ({ call }) => {
          // This run had fewer moments than the one before, and has come to its end.
          if (call === undefined) Deno.kill(subject.pid, "SIGKILL");
          await subject.waitGone();
        });
      }
    },
  });

  Deno.test({
    name: `${name} waits while the tool is stopped, and runs on when it goes on`,
    ...needsBackend,
    async fn() {
      await using subject = await Subject.start(name);
      const stopForAWhile: Act = (tool) => {
        Deno.kill(tool, "SIGSTOP");
        setTimeout(() => Deno.kill(tool, "SIGCONT"), STOPPED);
      };
      await atMoments(subject, 3, stopForAWhile, (run, before) => {
        assert.equal(run.status.code, 0, run.stderr);
        assertAsBefore(name, before, look(subject.pid), describe(run));
      });
      await subject.expectPass();
    },
  });
}

/** SIGXFSZ ends a tool that may not write files of such a size: 8000 KiB, in an image of 20 MiB. */
const TOO_LARGE = 128 + 25;

Deno.test({
  name: "a thread takes the signal that it was about to take where the tool is killed just then",
  ignore: !backend.usable,
  async fn(t) {
    using room = new ImageRoom();
    await using subject = await Subject.start("sud_guard", { args: ["4"] });
    let hits = 0;
    // Whether one has is chance.
    for (let kill = 0; kill < 12 || hits === 0 && kill < 72; kill++) {
      let last = "";
      // A thread that has stopped for something else than it was asked to is asked again, and let go on.
      const run = await actAtMoment(saving(subject, room), (call) => {
        const isNow = call === "ptrace CONT" && last === "ptrace INTERRUPT";
        last = call;
        return isNow && readStatus(subject.pid).tracerPid !== 0;
      });
      if (run.call !== undefined) hits++;
    }
    await subject.expectPass();
    if (hits === 0) skip(t, "no thread had stopped for a signal when it was to stand still");
  },
});

Deno.test("a target runs on as it was where the tool is killed while fork(2) copies its memory", async (t) => {
  using room = new ImageRoom();
  await using subject = await Subject.start("mem_anon", { args: ["400", "forked"] });
  const stateOf = () => readProcess(subject.pid)?.state;
  /** Whether it makes a call that takes as long as none but that, while the tool is stopped. */
  const isForking = () => {
    for (const end = performance.now() + 4; performance.now() < end;) {
      if (stateOf() !== "R") return false;
    }
    return true;
  };
  let hits = 0;
  for (let kill = 0; kill < 3; kill++) {
    const before = look(subject.pid);
    const run = await actAtMoment(
      saving(subject, room),
      (call) => call === "ptrace CONT" && isForking(),
    );
    if (run.call !== undefined) hits++;
    assertAsBefore("mem_anon", before, look(subject.pid), `killed at ${describe(run)}`);
  }
  await subject.expectPass();
  if (hits === 0) skip(t, "no snapshot is made here, or fork is never slow");
});

Deno.test("a target runs on as it was where a limit on the size of files ends the tool", async () => {
  await using subject = await Subject.start("mem_anon", { args: ["20"] });
  using room = new ImageRoom();
  const before = look(subject.pid);
  const through = ["/bin/bash", "-c", 'ulimit -f 8000; exec "$@"', "sh"];
  const { status, stderr } = await stasis(saving(subject, room), { through });
  assert.equal(status, TOO_LARGE, stderr);
  await waitUntil(() => readProcess(subject.pid)?.state === "S", "it to run on");
  assertAsBefore("mem_anon", before, look(subject.pid), "SIGXFSZ");
  await subject.expectPass();
});

for (const [name, ...args] of [["threads_many", "4"], ["sud_threads", "4"]] as const) {
  killTest([name, ...args, "while it is let go"], async () => {
    await using subject = await Subject.start(name, { args });
    using room = new ImageRoom();
    const { moments } = await actAtMoment(saving(subject, room), Infinity);
    for (let kill = 0; kill < 10; kill++) {
      // The release is in the last third, and what comes after it has nothing to undo.
      const moment = Math.floor((0.65 + spread(kill, 10) * 0.35) * moments);
      const before = look(subject.pid);
      const run = await actAtMoment(saving(subject, room), moment);
      assertAsBefore(name, before, look(subject.pid), `killed at ${describe(run)}`);
    }
    await subject.expectPass();
  });
}

Deno.test("a tree that is being ended runs on as it was, or is ended whole with its images whole", async () => {
  let ended = 0;
  let kept = 0;
  for (let turn = 0; turn < 12; turn++) {
    await using subject = await Subject.start("tree_sessions");
    using room = new ImageRoom();
    // The commit is near the end.
    const trial = await actAtMoment(saving(subject, room), Infinity);
    const moment = Math.floor(trial.moments * (0.7 + 0.04 * turn));
    const directory = room.fresh();
    const pids = processTree(subject.pid);
    const before = look(subject.pid);
    const run = await actAtMoment(
      ["checkpoint", String(subject.pid), "-D", directory],
      moment,
      killTool,
    );
    if (exists(`${directory}/inventory.img`)) {
      ended++;
      await waitUntil(() => !pids.some(isAlive), () => `${describe(run)}: the tree to end`);
    } else {
      kept++;
      assertAsBefore("tree_sessions", before, look(subject.pid), describe(run));
      await subject.expectPass();
    }
  }
  assert.ok(ended > 0 && kept > 0, `ended ${ended}, kept ${kept}`);
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Those that are saved inside a pid namespace as well; in CI the first one. */
const INSIDE = ["sud_guard 4", "tree_sessions", "seccomp_guard 4", "restart_wait4", "ptys"];

for (const name of MANY ? INSIDE : INSIDE.slice(0, 1)) {
  Deno.test({
    name: `inside a pid namespace ${name} does so as well`,
    ignore: name.startsWith("sud_") && !backend.usable,
    fn: async () => {
      const file = import.meta.filename as string;
      const test = ["test", "-A", "--no-check", `--filter=${name} runs on`, file];
      const unshare = ["--pid", "--fork", "--kill-child", "--mount-proc", Deno.execPath()];
      const { code, stdout, stderr } = await new Deno.Command("unshare", {
        args: [...unshare, ...test],
        env: { STASIS_KILLS: String(MANY ? KILLS : 100) },
        stdin: "null",
      }).output();
      const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      assert.equal(code, 0, said);
      assert.match(said, /1 passed/, said);
    },
  });
}
