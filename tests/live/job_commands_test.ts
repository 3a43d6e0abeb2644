/** What the commands on jobs promise: signals that are handed on, the last save, the store, and its chain. */

import { deepEqual, doesNotMatch, equal, match, ok } from "@std/assert";
import { hasWriteTracking } from "../../core/linux/userfaultfd.ts";
import { directoriesOf } from "../../mod.ts";
import { isAlive, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { withSmallDisk } from "../harness/small_disk.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { JobRoom } from "../jobs/interrupted.ts";
import { becomesSleep, startSleeper } from "./round_trip.ts";

/** An event that `--json` tells. */
interface Told {
  readonly event: string;
  readonly checkpoint?: number;
  readonly error?: { readonly message: string };
}

function told(room: JobRoom): Told[] {
  const lines = room.log.split("\n").slice(0, -1).filter((line) => line.startsWith('{"'));
  return lines.map((line) => JSON.parse(line));
}

/** Waits until an event has been told so often. */
async function until(room: JobRoom, event: string, count = 1): Promise<void> {
  await waitUntil(
    () => told(room).filter((one) => one.event === event).length >= count,
    () => `${count} times ${event}:\n${room.log}`,
    60_000,
  );
}

/** A script of a shell that does something when it is sent signals, and ends when there is a file `go`. */
const job = (traps: string): string[] => {
  const script = `${traps}; exec >>out; echo ready; until [ -e go ]; do sleep 0.02; done; echo end`;
  return ["--", "sh", "-c", script];
};

/** The lines that it has written. */
function lines(room: JobRoom): string[] {
  try {
    return Deno.readTextFileSync(`${room.path}/out`).split("\n").slice(0, -1);
  } catch {
    return []; // It has not got so far.
  }
}

async function untilLine(room: JobRoom, line: string): Promise<void> {
  await waitUntil(() => lines(room).includes(line), () => `${line}:\n${room.log}`, 60_000);
}

Deno.test("run: hands signals on to the job, and ends with its status", async () => {
  using room = new JobRoom();
  const signals = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR2"] as const;
  const traps = signals.map((name) => `trap 'echo ${name}' ${name.slice(3)}`).join("; ");
  const words = [
    "run",
    "--json",
    "--every",
    "1h",
    "-D",
    room.store,
    ...job(`${traps}; trap 'exit 7' EXIT`),
  ];
  const child = room.start(words);
  await untilLine(room, "ready");
  for (const signal of signals) {
    child.kill(signal);
    await untilLine(room, signal);
  }
  ok(told(room).some(({ event }) => event === "started"), room.log);
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await child.status).code, 7, room.log);
  deepEqual(lines(room), ["ready", ...signals, "end"]);
});

Deno.test("run: a job that cannot be saved in time gets the SIGTERM itself, and the checkpoint before is there", async () => {
  using room = new JobRoom();
  const traps = "trap 'echo told; exit 3' TERM";
  const options = ["--json", "--every", "1h", "--grace", "1ms", "-D", room.store];
  const child = room.start(["run", ...options, ...job(traps)]);
  await untilLine(room, "ready");
  // It is saved once more as soon as it writes.
  await until(room, "saved", 2);
  child.kill("SIGTERM");
  equal((await child.status).code, 75, room.log);
  deepEqual(lines(room), ["ready", "told"]);
  const late = told(room).find(({ event }) => event === "not-saved");
  match(late?.error?.message ?? "", /^the job could not be saved in 0\.001 s$/);
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await room.start(["run", ...options, ...job(traps)]).status).code, 0, room.log);
  deepEqual(lines(room), ["ready", "end"]);
});

Deno.test("run: SIGUSR1 saves the job, and opens no debugger", async () => {
  using room = new JobRoom();
  const child = room.start(["run", "--json", "--every", "1h", "-D", room.store, ...job(":")]);
  await untilLine(room, "ready");
  await until(room, "saved", 2);
  // Deno listens to it only half a second after its start (since 2.9.2).
  for (let count = 3; count < 8; count++) {
    child.kill("SIGUSR1");
    await until(room, "saved", count);
  }
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await child.status).code, 0, room.log);
  doesNotMatch(room.log, /Debugger listening/);
});

Deno.test("run: a job that is killed alone is told by its status, and taken up by the same command line", async () => {
  using room = new JobRoom();
  const words = ["run", "--json", "--every", "1h", "-D", room.store, ...job(":")];
  const first = room.start(words);
  await untilLine(room, "ready");
  await until(room, "saved", 2);
  const { pid } = JSON.parse(Deno.readTextFileSync(`${room.store}/running.json`));
  Deno.kill(pid, "SIGKILL");
  equal((await first.status).code, 137, room.log);
  deepEqual(told(room).at(-1)?.event, "ended");
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await room.start(words).status).code, 0, room.log);
  deepEqual(lines(room), ["ready", "end"]);
});

Deno.test("run --keep-appended: what was appended after the checkpoint comes twice", async () => {
  using room = new JobRoom();
  const script = "exec >>out; echo one; until [ -e more ]; do sleep 0.02; done; echo two; " +
    "until [ -e go ]; do sleep 0.02; done; echo three";
  const words = ["run", "--json", "--every", "1h", "-D", room.store];
  const first = room.start([...words, "--", "sh", "-c", script]);
  await untilLine(room, "one");
  await until(room, "saved", 2);
  Deno.writeTextFileSync(`${room.path}/more`, "");
  await untilLine(room, "two");
  await room.killAll(first);
  Deno.writeTextFileSync(`${room.path}/go`, "");
  const second = room.start([...words, "--keep-appended", "--", "sh", "-c", script]);
  equal((await second.status).code, 0, room.log);
  deepEqual(lines(room), ["one", "two", "two", "three"]);
});

Deno.test("run: a job goes on while the disk is full, and is saved by itself when there is room again", async (t) => {
  using room = new JobRoom();
  await withSmallDisk(room.path, t, async (disk) => {
    const store = `${disk.path}/store`;
    const script = "exec >>out; while [ ! -e go ]; do echo step; sleep 0.02; done; echo end";
    const options = ["--json", "--every", "200ms", "-D", store];
    disk.limit("size=64k");
    const child = room.start(["run", ...options, "--", "sh", "-c", script]);
    await until(room, "not-saved", 3);
    const before = lines(room).length;
    await until(room, "not-saved", 4);
    await waitUntil(() => lines(room).length > before, () => `a step:\n${room.log}`, 60_000);
    equal(told(room).some(({ event }) => event === "saved"), false, room.log);
    // Nobody asks for it.
    disk.limit("size=64m");
    await until(room, "saved");
    Deno.writeTextFileSync(`${room.path}/go`, "");
    equal((await child.status).code, 0, room.log);
    equal(lines(room).at(-1), "end");
  });
});

Deno.test("run: a script is run at every stage of each save, and when the job is taken up", async () => {
  using room = new JobRoom();
  const file = `${room.path}/script`;
  Deno.writeTextFileSync(file, `#!/bin/sh\necho "$CRTOOLS_SCRIPT_ACTION" >>${room.path}/stages\n`, {
    mode: 0o755,
  });
  const stages = () => Deno.readTextFileSync(`${room.path}/stages`).trim().split("\n");
  const words = ["run", "--json", "--every", "1h", "--action-script", file, "-D", room.store];
  const first = room.start([...words, ...job(":")]);
  await untilLine(room, "ready");
  await until(room, "saved", 2);
  first.kill("SIGTERM");
  equal((await first.status).code, 75, room.log);
  const dump = ["pre-dump", "post-dump"];
  deepEqual(stages(), [...dump, ...dump, ...dump], room.log);
  Deno.removeSync(`${room.path}/stages`);
  Deno.writeTextFileSync(`${room.path}/go`, "");
  equal((await room.start([...words, ...job(":")]).status).code, 0, room.log);
  deepEqual(stages(), ["pre-restore", "post-restore", "pre-resume", "post-resume"], room.log);
});

Deno.test("watch: is left at once by SIGINT, and says where there was no time for a last save; two have no place", async () => {
  using room = new JobRoom();
  await using subject = await startSleeper("");
  const watch = (...options: string[]) => {
    const words = ["watch", String(subject.pid), "--json", "--every", "1h", "-D", room.store];
    return room.start([...words, ...options]);
  };
  const first = watch();
  await until(room, "saved");
  equal((await watch().status).code, 8, room.log);
  match(room.log, /somebody else saves to/);
  first.kill("SIGINT");
  equal((await first.status).code, 130, room.log);
  const second = watch("--grace", "1ms");
  await until(room, "saved", 2);
  second.kill("SIGTERM");
  equal((await second.status).code, 12, room.log);
  ok(isAlive(subject.pid));
});

Deno.test("watch: memory is written when the tree runs again, and tracked, unless that is not wanted", async (t) => {
  // One that may have no shadow, which is noted where it was to have one.
  await using subject = await Subject.start("snapshot", { args: ["crowded", "56"] });
  const isTracked = () => / uw\b/.test(Deno.readTextFileSync(`/proc/${subject.pid}/smaps`));
  for (const options of [[], ["--no-snapshot", "--compare"]]) {
    using room = new JobRoom();
    const words = ["watch", String(subject.pid), "--json", "--every", "1h", "-D", room.store];
    const child = room.start([...words, ...options]);
    await until(room, "saved");
    const isUsual = options.length === 0;
    equal(/stands still while its memory is written/.test(room.log), isUsual, room.log);
    if (hasWriteTracking()) equal(isTracked(), isUsual);
    else skip(t, "this kernel has no asynchronous write protection");
    child.kill("SIGINT");
    equal((await child.status).code, 130, room.log);
  }
  equal(isTracked(), false);
  await subject.expectPass();
});

Deno.test("watch: a tree that is killed is restored, and has written each line once", async () => {
  using room = new JobRoom();
  const script = "exec >>$0; n=0; while [ ! -e $1 ]; do echo $n; n=$((n + 1)); sleep 0.02; done";
  const [out, go] = [`${room.path}/out`, `${room.path}/go`];
  await using subject = await Subject.spawn("sh", { args: ["-c", script, out, go] });
  await waitUntil(() => lines(room).length > 0, "a line");
  const words = ["watch", String(subject.pid), "--json", "--every", "100ms", "-D", room.store];
  const child = room.start(words);
  await until(room, "saved", 3);
  await room.killAll(child);
  // It does more than is saved.
  const count = lines(room).length;
  await waitUntil(() => lines(room).length > count + 5, "some more lines");
  Deno.kill(-subject.pid, "SIGKILL");
  await subject.waitGone();
  const before = lines(room).length;
  const { status, stderr } = await stasis(["restore", room.store, "--rollback-files", "--detach"]);
  equal(status, 0, stderr);
  await waitUntil(() => lines(room).length > before, () => `lines behind ${before}`, 60_000);
  Deno.writeTextFileSync(go, "");
  await subject.waitGone();
  deepEqual(lines(room), lines(room).map((_, number) => String(number)));
});

Deno.test("watch: a chain is bounded, list shows it, and prune leaves what the latest needs", async () => {
  using room = new JobRoom();
  await using subject = await startSleeper("");
  const most = 16;
  const words = ["watch", String(subject.pid), "--json", "--every", "1h", "--keep", "1"];
  const child = room.start([...words, "-D", room.store]);
  for (let count = 1; count <= most + 2; count++) {
    await until(room, "saved", count);
    if (count < most + 2) child.kill("SIGUSR1");
  }
  child.kill("SIGTERM");
  equal((await child.status).code, 75, room.log);
  for (const wanted of ["merging", "pruned"]) {
    ok(told(room).some(({ event }) => event === wanted), room.log);
  }
  equal(told(room).some(({ event }) => event === "failed"), false, room.log);
  const list = async () => {
    const { status, stdout, stderr } = await stasis(["list", room.store, "--json"]);
    equal(status, 0, stderr);
    return JSON.parse(stdout);
  };
  const before = await list();
  equal(before.latest, most + 3);
  const needed = directoriesOf(`${room.store}/latest`);
  ok(needed.length > 1 && needed.length <= most, `${needed}`);
  const pruned = await stasis(["prune", room.store, "--keep", "1"]);
  equal(pruned.status, 0, pruned.stderr);
  const { latest, checkpoints } = await list();
  equal(latest, before.latest);
  deepEqual(
    checkpoints.map(({ number }: { number: number }) => `${room.store}/${number}`).sort(),
    [...needed].sort(),
  );
  // Each leads to the one before; the oldest of them is whole.
  const numbers = checkpoints.map(({ number }: { number: number }) => number);
  deepEqual(
    checkpoints.map(({ parent }: { parent?: number }) => parent),
    [undefined, ...numbers.slice(0, -1)],
  );
  for (const { at, bytes, frozenMs } of checkpoints) {
    ok(Date.parse(at) > 0 && bytes > 0 && frozenMs > 0, JSON.stringify(checkpoints));
  }
  equal((await stasis(["inspect", "--verify", room.store])).status, 0);
  Deno.kill(subject.pid, "SIGKILL");
  await subject.waitGone();
  const restored = await stasis(["restore", room.store, "--detach"]);
  equal(restored.status, 0, restored.stderr);
  await becomesSleep(subject.pid);
});
