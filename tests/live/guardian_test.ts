/**
 * The guardian beside targets that do not do what it waits for: whatever becomes of one process, the others are put
 * back, and its job control is as it would have been.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { lendDescriptor } from "../../core/remote/send_descriptor.ts";
import { ptraceCall } from "../../core/remote/undo.ts";
import {
  checkpoint,
  type CheckpointHooks,
  DEFAULT_PLUGINS,
  definePlugin,
  type Plugin,
  StasisError,
} from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { actAtMoment, killTool } from "../harness/kill_at_call.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import { assertUnharmed, failureOf, ImageRoom, witness } from "../harness/unharmed.ts";
import { backend } from "./dispatch.ts";
import { checkpointAndKill, guardiansOf, waitRescued } from "./killed_tool.ts";

async function start(name: string, args: readonly string[] = []): Promise<Subject> {
  const source = fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
  return await Subject.run(await buildProgram(source), { args });
}

const core = (path: string) => new URL(`../../core/${path}`, import.meta.url).href;

/**
 * A tool that parks one process, has noted the threads of others without having got to them (of those with a `+` behind
 * the parked one), and dies. Then come signals: it took those from the parked one, or sends them (with a `!`).
 */
const TOOL = `
import { uncancelled } from "${core("cancellation.ts")}";
import { freezeTree } from "${core("checkpoint/freeze.ts")}";
import { parkTree } from "${core("checkpoint/park.ts")}";
import { Guardian } from "${core("guardian/guardian.ts")}";
import { Siginfo } from "${core("linux/siginfo.ts")}";
const [parked, others, signals] = Deno.args.map((list) => list === "" ? [] : list.split(","));
const guardian = Guardian.start([]);
const undo = new DisposableStack();
const tree = freezeTree(Number(parked[0]), undo, uncancelled());
const note = (pids) => {
  for (const pid of pids.map(Number)) {
    guardian.noteProcess(pid);
    for (const { name } of Deno.readDirSync(\`/proc/\${pid}/task\`)) {
      guardian.noteThreads([{ pid, tid: Number(name), options: 0n, calls: [] }]);
    }
  }
};
note(others.filter((pid) => !pid.startsWith("+")));
parkTree(tree.processes, guardian);
note(others.filter((pid) => pid.startsWith("+")));
for (const signal of signals) {
  const pid = Number(parked[0]);
  if (signal.startsWith("!")) Deno.kill(pid, signal.slice(1));
  else guardian.noteSignal(pid, pid, Siginfo.make(Number(signal), 0, 0n));
}
Deno.kill(Deno.pid, "SIGKILL");
`;

/** Parks a process by a tool that dies. @returns the pid of the tool */
async function parkAndDie(
  parked: number,
  others: readonly string[] = [],
  signals: readonly string[] = [],
): Promise<number> {
  const script = Deno.makeTempFileSync({ suffix: ".ts" });
  try {
    Deno.writeTextFileSync(script, TOOL);
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const args = [String(parked), others.join(","), signals.join(",")];
    const tool = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", config, script, ...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const { signal, stderr } = await tool.output();
    assert.equal(signal, "SIGKILL", new TextDecoder().decode(stderr));
    return tool.pid;
  } finally {
    Deno.removeSync(script);
  }
}

for (const which of ["", "thread"]) {
  for (const when of ["", "+"]) {
    const order = when === "" ? "noted before it" : "noted after it";
    const who = which === "" ? "process" : "thread";
    Deno.test(`the guardian puts a process back while a ${who} ${order} is in an uninterruptible sleep`, async () => {
      const end = Deno.makeTempFileSync({ prefix: "stasis-vfork-" });
      Deno.removeSync(end);
      await using asleep = await start("vfork", which === "" ? [end] : [end, which]);
      await using subject = await Subject.start("threads_many", { args: ["4"] });
      let tool: number;
      try {
        tool = await parkAndDie(subject.pid, [`${when}${asleep.pid}`]);
        await subject.expectPass();
        assert.ok(asleep.alive);
      } finally {
        Deno.writeTextFileSync(end, "");
      }
      await waitRescued(tool);
      await asleep.expectPass();
      Deno.removeSync(end);
    });
  }
}

for (const who of ["first", "thread"]) {
  Deno.test(`the guardian puts a process back, and its ${who} goes on, where that executes programs meanwhile`, async () => {
    await using subject = await Subject.start("threads_many", { args: ["4"] });
    await using restless = await start("exec_again", [who]);
    for (let round = 0; round < 3; round++) {
      const tool = await parkAndDie(subject.pid, [`${round % 2 === 0 ? "" : "+"}${restless.pid}`]);
      await waitRescued(tool);
    }
    await restless.expectPass();
    await subject.expectPass();
  });
}

Deno.test("the guardian leaves a process stopped or running as its signals say", async () => {
  await using subject = await Subject.start("mem_anon");
  const state = () => readProcess(subject.pid)?.state;
  const stop = "19";
  await waitRescued(await parkAndDie(subject.pid, [], [stop]));
  await waitUntil(() => state() === "T", () => `it to be stopped: ${state()}`);
  Deno.kill(subject.pid, "SIGCONT");
  // The SIGCONT has undone the stop signal that was on its way.
  await waitRescued(await parkAndDie(subject.pid, [], [stop, "!SIGCONT"]));
  await subject.expectPass();
});

Deno.test("a program that is under way when the tool and its guardians die is not heard by the target, which waits", async () => {
  await using subject = await start("hears_all");
  await checkpointAndKill(subject.pid, "program", true);
  // The program would have come to its end by then.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  assert.doesNotMatch(subject.output(), /HEARD/);
  assert.equal(readProcess(subject.pid)?.state, "R");
});

/** A plugin that runs after all others. */
function last(hooks: CheckpointHooks): Plugin {
  return definePlugin({
    name: "last",
    description: "does something to others",
    after: DEFAULT_PLUGINS.map(({ name }) => name),
    checkpoint: () => hooks,
  });
}

/** Kills both guardians of this process, whose memory goes a moment later. */
function killGuardians(): void {
  for (const pid of guardiansOf(Deno.pid)) Deno.kill(pid, "SIGKILL");
  while (guardiansOf(Deno.pid).length > 0);
}

const STDERR = 2;

/** Where both guardians are killed, and whether the tool has something to tell them afterwards, and so fails. */
const KILLING_HOOKS: readonly { readonly hooks: CheckpointHooks; readonly fails: boolean }[] = [
  { hooks: { examineThreads: killGuardians }, fails: true },
  { hooks: { freezeThreads: killGuardians }, fails: true },
  // Memory for programs is to be given back then, which takes a call, and so words in the target that cannot be noted.
  { hooks: { dumpTask: killGuardians }, fails: false },
  {
    hooks: {
      dumpTask({ remote }) {
        using lent = lendDescriptor(remote, STDERR);
        assert.ok(lent !== undefined);
        killGuardians();
      },
    },
    fails: false,
  },
  {
    hooks: {
      dumpTask({ remote }) {
        using lent = lendDescriptor(remote, STDERR);
        assert.ok(lent !== undefined);
        killGuardians();
        remote.call("getpid");
      },
    },
    fails: true,
  },
];

Deno.test("lendDescriptor() leaves nothing open in a task where it is cancelled in one of its programs", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("mem_anon");
  for (const cancelled of [1, 2]) {
    const before = witness(subject.pid);
    let programs = 0;
    const hooks: CheckpointHooks = {
      dumpTask({ remote }) {
        const run = remote.run.bind(remote);
        // The program has run, and nobody has been told.
        remote.run = (...args) => {
          const reply = run(...args);
          if (++programs === cancelled) throw new StasisError("cancelled", "just now");
          return reply;
        };
        lendDescriptor(remote, STDERR);
      },
    };
    const settings = { directory: room.fresh(), plugins: [last(hooks)], leaveRunning: true };
    assert.equal((await failureOf(checkpoint(subject.pid, settings))).message, "just now");
    assert.equal(programs, cancelled);
    assertUnharmed(before);
  }
  await subject.expectPass();
});

for (const name of ["mem_anon", "threads_many", "sud_guard"]) {
  Deno.test({
    name: `${name} is put back by the tool where both guardians are killed`,
    ignore: name === "sud_guard" && !backend.usable,
    async fn() {
      using room = new ImageRoom();
      await using subject = await Subject.start(name, { args: name === "mem_anon" ? [] : ["4"] });
      for (const { hooks, fails } of KILLING_HOOKS) {
        const before = witness(subject.pid);
        const directory = room.fresh();
        const plugins = [last(hooks)];
        const saved = checkpoint(subject.pid, { directory, plugins, leaveRunning: true });
        if (!fails) await saved;
        else {
          const { message } = await failureOf(saved);
          assert.equal(message, "the guardian of the checkpoint was killed");
          room.assertAbsent(directory);
        }
        assertUnharmed(before);
      }
      await subject.expectPass();
    },
  });
}

Deno.test("a thread gets its registers and mask where another part of its undo fails", async () => {
  using room = new ImageRoom();
  await using subject = await Subject.start("threads_many", { args: ["4"] });
  const noSuchRequest = 0x7fffn;
  const plugin = last({
    freezeThreads([leader]) {
      leader?.tracee.noteUndo(ptraceCall(noSuchRequest, subject.pid));
    },
  });
  const before = witness(subject.pid);
  const directory = room.fresh();
  const error = await failureOf(
    checkpoint(subject.pid, { directory, plugins: [plugin], leaveRunning: true }),
  );
  assert.match(error.message, /cannot be put back as it was: ptrace\(32767\): EIO/);
  assertUnharmed(before);
  await subject.expectPass();
});

Deno.test("a guardian that could not trace its target says so when it is started", async (t) => {
  using room = new ImageRoom();
  Deno.chmodSync(room.path, 0o777);
  const deno = `${room.path}/deno`;
  Deno.copyFileSync(Deno.execPath(), deno);
  // A program's file gives rights to it alone.
  const rights = ["ptrace", "admin"].map((name) => `cap_sys_${name}`);
  rights.push("cap_dac_override", "cap_dac_read_search");
  const given = await run("setcap", [`${rights.join(",")}=ep`, deno]);
  if (!given.success) return skip(t, `no file can be given capabilities: ${given.stderr}`);
  await using subject = await Subject.start("mem_anon");
  const script = `${room.path}/tool.ts`;
  Deno.writeTextFileSync(
    script,
    `import { Guardian } from "${core("guardian/guardian.ts")}";
    try {
      Guardian.start([${subject.pid}])[Symbol.dispose]();
    } catch ({ code, message, hint }) {
      console.log([code, message, hint].join("\\n"));
    }`,
  );
  const tool = [deno, "run", "-A", "--no-check", "--no-config", script];
  const { stdout, stderr } = await run("setpriv", [
    ...["--reuid", "65534", "--regid", "65534", "--clear-groups"],
    ...["env", `DENO_DIR=${room.path}/cache`, ...tool],
  ]);
  const [code, message, hint] = stdout.split("\n");
  assert.equal(code, "no-privilege", stderr);
  assert.match(message ?? "", new RegExp(`^the guardian, .*, may not trace task ${subject.pid}$`));
  assert.match(hint ?? "", /setcap/);
  await subject.expectPass();
});

/** Runs a program; one that is not there fails. */
async function run(program: string, args: readonly string[]) {
  try {
    const output = await new Deno.Command(program, { args: [...args], stdin: "null" }).output();
    const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) =>
      new TextDecoder().decode(bytes)
    ) as [string, string];
    return { success: output.success, code: output.code, stdout, stderr };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { success: false, code: 127, stdout: "", stderr: `there is no ${program}` };
  }
}

/** A thread that waits for ever, of a program that has handlers of signals that it does not wait for, if any. */
const WAITING = [["restart_poll", "forever"], ["sud_blocked_in_call", "poll"]] as const;
for (const [name, ...args] of WAITING) {
  Deno.test({
    name:
      `an interrupted call of ${name} goes on where the tool dies while it parks its thread or lets it go`,
    ignore: name === "sud_blocked_in_call" && !backend.usable,
    fn: async () => {
      await using subject = await Subject.start(name, { args });
      using room = new ImageRoom();
      const saving = () => [
        ...["checkpoint", `${subject.pid}`, "-D", room.fresh(), "--leave-running"],
        ...["--timeout", "120"],
      ];
      const setsMask = (call: string) => call === "ptrace SETSIGMASK";
      let all = 0;
      const run = await actAtMoment(saving(), Infinity, killTool, (call) => {
        if (setsMask(call)) all++;
      });
      assert.equal(run.status.code, 0, run.stderr);
      // The last ones are those of parking and of the release: of two threads each, entry and exit.
      for (let left = 8; left > 0; left--) {
        let seen = 0;
        const { call } = await actAtMoment(
          saving(),
          (call) => setsMask(call) && seen++ === all - left,
        );
        assert.ok(call !== undefined, "the tool came to its end");
      }
      await subject.expectPass();
    },
  });
}
