/**
 * What happens to a tree while it is being frozen, or stands still: signals from outside, threads and children
 * that come and go. It loses nothing, and gets nothing twice.
 */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { checkpoint, restore, StasisError } from "../../mod.ts";
import { buildProgram } from "../harness/build.ts";
import { actAt, MOMENTS, outsider } from "../harness/moments.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import {
  assertNothingHeld,
  assertUnharmed,
  ImageRoom,
  toolState,
  witness,
} from "../harness/unharmed.ts";
import { ending } from "../programs/scenario.ts";

async function start(name: string, args: readonly string[]): Promise<Subject> {
  const source = fileURLToPath(new URL(`programs/${name}.c`, import.meta.url));
  return await Subject.run(await buildProgram(source), { args });
}

const SIGNALS = [
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGURG",
  "SIGWINCH",
  "SIGIO",
  "SIGTRAP",
  "SIGCHLD",
];
const NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGTRAP: 5,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGCHLD: 17,
  SIGURG: 23,
  SIGWINCH: 28,
  SIGIO: 29,
};

/** The process that would handle, block or ignore them has got each signal once. */
async function expectSignals(subject: Subject, how: string): Promise<void> {
  const { output } = await subject.expectPass();
  const lines = output.split("\n");
  for (const name of SIGNALS) {
    const number = NUMBERS[name];
    const [got, pending] = [`got ${number} 1 code 0`, `pending ${number}`];
    assert.equal(lines.includes(got), how === "handle", `${name}: ${output}`);
    assert.equal(lines.includes(pending), how === "block", `${name}: ${output}`);
  }
}

function send({ pid }: Subject): void {
  for (const name of SIGNALS) Deno.kill(pid, name as Deno.Signal);
}

for (const how of ["handle", "block", "ignore"]) {
  for (const moment of MOMENTS) {
    Deno.test(`signals sent to a frozen process that would ${how} them arrive once: ${moment}`, async () => {
      using room = new ImageRoom();
      await using subject = await start("all_signals", [how]);
      const before = witness(subject.pid);
      await checkpoint(subject.pid, {
        directory: room.fresh(),
        leaveRunning: true,
        plugins: [actAt(moment, () => send(subject))],
      });
      const verdictWillTell = [/\/status\/(SigPnd|ShdPnd)$/];
      assertUnharmed(before, verdictWillTell);
      await expectSignals(subject, how);
    });

    Deno.test(`signals sent to a process that is killed and would ${how} them arrive once after its restore: ${moment}`, async () => {
      using room = new ImageRoom();
      await using subject = await start("all_signals", [how]);
      const directory = room.fresh();
      const plugins = [actAt(moment, () => send(subject))];
      await checkpoint(subject.pid, { directory, plugins });
      const tree = await restore(directory);
      await expectSignals(subject, how);
      assert.deepEqual(await ending(tree), { code: 0 });
    });
  }

  Deno.test(`checkpoint() changes nothing in a process that would ${how} every signal`, async () => {
    using room = new ImageRoom();
    await using subject = await start("all_signals", [how]);
    const before = witness(subject.pid);
    for (let round = 0; round < 3; round++) {
      await checkpoint(subject.pid, { directory: room.fresh(), leaveRunning: true });
      assertUnharmed(before);
    }
    const { output } = await subject.expectPass();
    assert.doesNotMatch(output, /^(got (?!15 )|pending)/m, "a signal of the tool reached it");
  });
}

/** Runs, and has taken what waited: a second SIGCONT would be one with the first that waits still. */
async function goesOn(pid: number): Promise<void> {
  await waitUntil(() => {
    const running = !["T", "t"].includes(readProcess(pid)?.state ?? "T");
    return running && /^ShdPnd:\s*0+$/m.test(status(pid));
  }, () => `it to go on: ${status(pid)}`);
}

Deno.test("SIGSTOP sent to a frozen process stops it afterwards, and SIGCONT lets it go on", async () => {
  using room = new ImageRoom();
  await using subject = await start("all_signals", ["handle"]);
  const during = (signals: readonly Deno.Signal[]) =>
    checkpoint(subject.pid, {
      directory: room.fresh(),
      leaveRunning: true,
      plugins: [
        outsider({ dumpTask: () => signals.forEach((one) => Deno.kill(subject.pid, one)) }),
      ],
    });
  const state = () => readProcess(subject.pid)?.state;

  await during(["SIGSTOP"]);
  await waitUntil(() => state() === "T", () => `it to stop: ${state()}`);
  // It stands still for job control now: a checkpoint leaves it so.
  await during([]);
  await waitUntil(() => state() === "T", () => `it to stay stopped: ${state()}`, 1000);
  await during(["SIGCONT"]);
  await goesOn(subject.pid);
  await during(["SIGSTOP", "SIGCONT"]);
  await goesOn(subject.pid);
  const { output } = await subject.expectPass();
  assert.match(output, /^got 18 2 code 0$/m, output);
});

Deno.test("SIGSTOP sent to a process that is killed stops it when it is restored, SIGCONT lets it go on", async () => {
  using room = new ImageRoom();
  await using subject = await start("all_signals", ["handle"]);
  const during = async (signals: readonly Deno.Signal[]) => {
    const directory = room.fresh();
    const act = () => signals.forEach((one) => Deno.kill(subject.pid, one));
    await checkpoint(subject.pid, { directory, plugins: [outsider({ pages: act })] });
    return await restore(directory);
  };
  const state = () => readProcess(subject.pid)?.state;

  await during(["SIGSTOP"]);
  await waitUntil(() => state() === "T", () => `it to stop: ${state()}`);
  await during(["SIGCONT"]);
  await goesOn(subject.pid);
  const tree = await during(["SIGSTOP", "SIGCONT"]);
  await goesOn(subject.pid);
  const { output } = await subject.expectPass();
  assert.match(output, /^got 18 2 code 0$/m, output);
  assert.deepEqual(await ending(tree), { code: 0 });
});

Deno.test("SIGTERM sent to a frozen process is handled when it runs on", async () => {
  using room = new ImageRoom();
  await using subject = await start("all_signals", ["handle"]);
  await checkpoint(subject.pid, {
    directory: room.fresh(),
    leaveRunning: true,
    plugins: [outsider({ dumpTask: () => Deno.kill(subject.pid, "SIGTERM") })],
  });
  await waitUntil(() => /^verdict PASS$/m.test(subject.output()), () => subject.output());
  assert.match(subject.output(), /^got 15 1 code 0$/m);
});

Deno.test("a frozen process whose wait is over makes no child that is missing in the images", async () => {
  for (let round = 0; round < 3; round++) {
    using room = new ImageRoom();
    await using subject = await start("short_waits", []);
    await waitUntil(() => subject.pids().length > 5, "children");
    await checkpoint(subject.pid, { directory: room.fresh() });
    await waitUntil(() => subject.pids().length === 0, () => `${subject.pids()} outlive the tree`);
  }
});

for (const what of ["threads", "forks", "vforks", "exits"]) {
  Deno.test(`checkpoint() of a tree in which ${what} come and go succeeds, or fails and harms nothing`, async () => {
    using room = new ImageRoom();
    await using subject = await start("churn", [what]);
    const before = toolState();
    let saved = 0;
    for (let round = 0; round < 20; round++) {
      const directory = room.fresh();
      try {
        await checkpoint(subject.pid, { directory, leaveRunning: true });
        saved++;
      } catch (error) {
        if (!(error instanceof StasisError)) throw error;
        assert.ok(
          ["unsupported", "no-such-task"].includes(error.code),
          `${error.code}: ${error.message} ${(error.cause as Error)?.stack}`,
        );
        room.assertAbsent(directory);
      }
      assert.ok(subject.alive, `it died in round ${round}: ${subject.output()}${subject.errors()}`);
      assertNothingHeld(before);
      // Whatever happened: it goes on, traced by nobody.
      await waitUntil(
        () => /^TracerPid:\s*0$/m.test(status(subject.pid)),
        () => `round ${round}: ${status(subject.pid)}`,
      );
    }
    assert.ok(saved > 0, "not one of 20 succeeded");
    await subject.expectPass();
  });
}

function status(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/status`);
  } catch {
    return "gone";
  }
}
