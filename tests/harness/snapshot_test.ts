/** A snapshot is the same twice over a target that nobody touches, and shows whatever is touched. */

import assert from "@std/assert";
import { waitUntil } from "./processes.ts";
import { diffSnapshots, takeSnapshot } from "./snapshot.ts";
import { Subject } from "./subject.ts";

const QUIET = ["sig_masks", "mem_memfd", "sig_pending", "epoll", "tree_sessions"];

for (const name of QUIET) {
  Deno.test(`diffSnapshots() finds nothing in an untouched ${name}`, async () => {
    await using subject = await Subject.start(name);
    const before = takeSnapshot(subject.pid);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(diffSnapshots(before, takeSnapshot(subject.pid)), []);
    assert.deepEqual(diffSnapshots(before, takeSnapshot(subject.pid), { restored: true }), []);
  });
}

async function run(command: string, ...args: string[]): Promise<void> {
  const output = await new Deno.Command(command, { args }).output();
  assert.ok(output.success, new TextDecoder().decode(output.stderr));
}

Deno.test("diffSnapshots() shows limits, niceness, stops and lost children", async () => {
  await using subject = await Subject.start("sud_fork");
  const { pid } = subject;
  const before = takeSnapshot(pid);
  await run("prlimit", `--pid=${pid}`, "--core=0:0");
  await run("renice", "-n", "3", "-p", String(pid));
  Deno.kill(pid, "SIGSTOP");
  await waitUntil(
    () => takeSnapshot(pid).get(`${pid}/thread/${pid}/state`)?.startsWith("T") ?? false,
    "the subject to stop",
  );
  const armed = Number(subject.fact("armed"));
  Deno.kill(armed, "SIGKILL");
  await waitUntil(() => takeSnapshot(pid).has(`${armed}/zombie`), "the child to die");

  const differences = diffSnapshots(before, takeSnapshot(pid));
  const own = differences.filter((line) => line.startsWith(`${pid}/`));
  assert.deepEqual(
    own.map((line) => line.slice(`${pid}/`.length).split(": ")[0]),
    ["limits", "stat/nice", `thread/${pid}/nice`, `thread/${pid}/state`],
  );
  assert.ok(differences.some((line) => line.startsWith(`${armed}/thread/${armed}/state: gone`)));
  assert.deepEqual(
    diffSnapshots(before, takeSnapshot(pid), { ignore: [/./] }),
    [],
  );
});

Deno.test("diffSnapshots() of a restored tree compares who shares a pipe, not its number", () => {
  const of = (...pipes: number[]) =>
    new Map(pipes.map((pipe, i) => [`1/fd/${i}`, `pipe:[${pipe}]`] as const));
  assert.equal(diffSnapshots(of(7, 7, 8), of(10, 10, 11)).length, 3);
  assert.deepEqual(diffSnapshots(of(7, 7, 8), of(10, 10, 11), { restored: true }), []);
  assert.deepEqual(diffSnapshots(of(7, 7, 8), of(10, 11, 11), { restored: true }), [
    '1/fd/1: "pipe#1" became "pipe#2"',
  ]);
});

Deno.test("takeSnapshot() rejects a pid that nobody has", () => {
  assert.throws(() => takeSnapshot(4194304), /there is no process 4194304/);
});
