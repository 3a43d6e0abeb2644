/**
 * What happens to a tree while it is being frozen, or stands still: signals from outside, threads and children
 * that come and go. It loses nothing, and gets nothing twice.
 */

import assert from "@std/assert";
import { fileURLToPath } from "node:url";
import { checkpoint, StasisError } from "../../mod.ts";
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

for (const how of ["handle", "block", "ignore"]) {
  for (const moment of MOMENTS) {
    Deno.test(`signals sent to a frozen process that would ${how} them arrive once: ${moment}`, async () => {
      using room = new ImageRoom();
      await using subject = await start("all_signals", [how]);
      const before = witness(subject.pid);
      const send = () => SIGNALS.forEach((name) => Deno.kill(subject.pid, name as Deno.Signal));
      await checkpoint(subject.pid, {
        directory: room.fresh(),
        leaveRunning: true,
        plugins: [actAt(moment, send)],
      });
      const verdictWillTell = [/\/status\/(SigPnd|ShdPnd)$/];
      assertUnharmed(before, verdictWillTell);
      const { output } = await subject.expectPass();
      for (const name of SIGNALS) {
        const number = NUMBERS[name];
        const [got, pending] = [`got ${number} 1 code 0`, `pending ${number}`];
        const lines = output.split("\n");
        assert.equal(lines.includes(got), how === "handle", `${name}: ${output}`);
        assert.equal(lines.includes(pending), how === "block", `${name}: ${output}`);
      }
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
  await waitUntil(() => state() !== "T" && state() !== "t", () => `it to go on: ${state()}`);
  await during(["SIGSTOP", "SIGCONT"]);
  await waitUntil(() => state() !== "T" && state() !== "t", () => `it to go on: ${state()}`);
  const { output } = await subject.expectPass();
  assert.match(output, /^got 18 2 code 0$/m, output);
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
