/**
 * Programs in sandboxes that have namespaces of their own besides their filters, made by launchers that people use. The
 * tool works in the same namespaces: it gets there by nsenter for the checkpoint, and by the launcher for the restore.
 */
import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { processTree, waitUntil } from "../harness/processes.ts";
import { seccompOf } from "../harness/seccomp_status.ts";
import { skip } from "../harness/skip.ts";
import { diffSnapshots, takeSnapshot } from "../harness/snapshot.ts";
import { type CommandOutcome, stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { systemdAllowList } from "../programs/allow_list_ffi.ts";
import { type Launcher, LAUNCHERS } from "../programs/launchers.ts";
import { ImageHome } from "./round_trip.ts";

const VERDICTS_PL = fileURLToPath(new URL("../programs/verdicts.pl", import.meta.url));

/** The exit status of what SIGKILL ended. */
const KILLED = 128 + 9;

/** System calls that are tried: personality, open_by_handle_at, getpgid, getppid. */
const TRIED = [135, 304, 121, 110];

/**
 * What becomes of them: systemd's list @system-service lacks open_by_handle_at, which then fails with EPERM (1);
 * firejail's default filter forbids personality as well. Without a filter there would be 0 and EFAULT (14).
 */
const VERDICTS: Readonly<Record<keyof typeof LAUNCHERS, string>> = {
  "bwrap": "0 1 3 0",
  "bwrap --unshare-pid": "0 1 3 0",
  "firejail --seccomp": "1 1 3 0",
};

for (const name of Object.keys(LAUNCHERS) as (keyof typeof LAUNCHERS)[]) {
  const launcher: Launcher = LAUNCHERS[name];
  const verdicts = VERDICTS[name];

  Deno.test(`a program under ${name} survives in a new sandbox`, async (t) => {
    using images = new ImageHome();
    await using subject = await startIn(launcher);
    const { pid, inner } = sandboxed(subject);
    if (!isFiltered(pid)) return skip(t, NO_SANDBOX);
    const filters = seccompOf(pid);
    const through = ["nsenter", `--target=${pid}`, ...launcher.enter, "--"];
    const saved = await stasis(["checkpoint", inner, "-D", images.directory], { through });
    assert.ok(saved.status === 0 || launcher.endsTool && saved.status === KILLED, saved.stderr);
    // The launcher ends with its program, and its namespaces with it.
    await subject.waitGone();
    assert.deepEqual(subject.pids(), []);

    const steps = stepsOf(subject);
    const restoring = stasis(["restore", images.directory], {
      through: ["/bin/sh", "-c", launcher.startTool, "sh"],
    });
    await Promise.race([hasMadeSteps(subject, steps + 10), restoring.then(isOver)]);
    const [again] = subject.pids();
    assert.deepEqual([...seccompOf(again!).values()], [...filters.values()]);
    enough(subject);
    const restored = await restoring;
    assert.equal(restored.status, 0, restored.stderr);
    assertOutput(subject, verdicts);
  });

  Deno.test(`a program under ${name} goes on when it is left running`, async (t) => {
    using images = new ImageHome();
    await using subject = await startIn(launcher);
    const { pid, inner } = sandboxed(subject);
    if (!isFiltered(pid)) return skip(t, NO_SANDBOX);
    const before = takeSnapshot(pid);
    const through = ["nsenter", `--target=${pid}`, ...launcher.enter, "--"];
    const saved = await stasis(["checkpoint", inner, "-R", "-D", images.directory], { through });
    assert.equal(saved.status, 0, saved.stderr);
    const ignore = [/\/fdinfo\/1\/pos$/];
    assert.deepEqual(diffSnapshots(before, takeSnapshot(pid), { ignore }), []);
    await hasMadeSteps(subject, stepsOf(subject) + 10);
    enough(subject);
    await subject.waitGone();
    assertOutput(subject, verdicts);
  });
}

/** firejail does so in a container, for example. */
const NO_SANDBOX = "the launcher finds itself in a sandbox, and starts the program without one";

function isFiltered(pid: number): boolean {
  return seccompOf(pid).get(pid)?.startsWith("Seccomp:\t2") ?? false;
}

/** Starts the program in a sandbox, and waits until it has made some steps. */
async function startIn(launcher: Launcher): Promise<Subject> {
  const program = ["perl", VERDICTS_PL, ...TRIED.map(String)];
  const subject = await Subject.spawn("/bin/sh", {
    args: ["-c", `until [ -e go ]; do sleep 0.01; done; ${launcher.start}`, "sh", ...program],
  });
  try {
    const filter = await systemdAllowList("@system-service");
    Deno.writeFileSync(`${subject.cwd}/filter.bpf`, filter);
    Deno.writeTextFileSync(`${subject.cwd}/go`, "");
    await hasMadeSteps(subject, 10);
    return subject;
  } catch (error) {
    await subject[Symbol.asyncDispose]();
    throw error;
  }
}

/** The program in the sandbox: its pid here and in there. */
function sandboxed(subject: Subject): { pid: number; inner: string } {
  const pid = processTree(subject.pid).at(-1)!;
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return { pid, inner: /^NSpid:.*\t(\d+)$/m.exec(status)![1]! };
}

function stepsOf(subject: Subject): number {
  return subject.output().split("\n").length - 1;
}

async function hasMadeSteps(subject: Subject, count: number): Promise<void> {
  await waitUntil(
    () => stepsOf(subject) >= count,
    () => `step ${count}:\n${subject.output()}${subject.errors()}`,
    30_000,
  );
}

function isOver({ stderr }: CommandOutcome): never {
  throw new Error(`the restore is over: ${stderr}`);
}

/** Has the program come to its end. */
function enough(subject: Subject): void {
  Deno.writeTextFileSync(`${subject.cwd}/enough`, "");
}

/** Every step was made once, computed right, and met the same filter. */
function assertOutput(subject: Subject, verdicts: string): void {
  assert.equal(subject.errors(), "");
  const lines = subject.output().trimEnd().split("\n");
  assert.equal(lines.pop(), "done");
  let state = 1;
  for (const [step, line] of lines.entries()) {
    for (let round = 0; round < 1000; round++) state = (state * 16807 + 11) % 2147483647;
    assert.equal(line, `step ${step} ${state} ${verdicts}`);
  }
}
