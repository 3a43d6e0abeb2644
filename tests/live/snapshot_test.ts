/**
 * Snapshots: memory that is written when the tree runs again is that of the moment in which it stood still, and the tree
 * does not notice.
 *
 * @module
 */
import { deepEqual, doesNotMatch, equal, match, ok } from "@std/assert";
import { pause } from "../../core/linux/pause.ts";
import {
  readChildren,
  readFds,
  readStat,
  readStatus,
  unlessGone,
} from "../../core/linux/procfs/mod.ts";
import { checkpoint, type OperationOptions, restore } from "../../mod.ts";
import { buildSubject } from "../harness/build.ts";
import { groupOf, Hierarchy } from "../harness/control_groups.ts";
import { allPids, processTree, waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { withSmallDisk } from "../harness/small_disk.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf, ImageRoom } from "../harness/unharmed.ts";
import { UNHURRIED } from "../harness/unhurried.ts";
import { variantName } from "../harness/variants.ts";
import { backend } from "./dispatch.ts";
import { killsFrom } from "./kills_from.ts";
import { collectNotes, ImageHome } from "./round_trip.ts";

/** All memory is that of a shadow, however little it is. */
const SNAPSHOT: OperationOptions = { ...UNHURRIED, snapshot: true, copyLimit: 0n };

/** More memory than is copied while a tree stands still, in MiB. */
const MORE = "56";

/** Takes a snapshot of a subject that runs on. @returns what was noted */
async function takeSnapshotOf(subject: Subject, images: ImageHome): Promise<string[]> {
  const notes: string[] = [];
  await checkpoint(subject.pid, {
    directory: images.directory,
    leaveRunning: true,
    options: SNAPSHOT,
    onEvent: collectNotes(notes),
  });
  return notes;
}

/** What is looked at: whether it notices, or whether the images are of one moment. */
type Looked = "notices" | "moment";

const SUBJECTS: readonly (readonly [looked: readonly Looked[], name: string, ...args: string[]])[] =
  [
    [["notices", "moment"], "snapshot", "plain"],
    [["notices"], "snapshot", "ignored"],
    [["notices", "moment"], "snapshot", "subreaper"],
    [["notices"], "snapshot", "child"],
    [["notices", "moment"], "snapshot", "special"],
    [["moment"], "cow_tree", "own"],
    [["moment"], "mem_family", "3"],
    [["notices"], "seccomp_tree"],
    [["notices"], "seccomp_guard", "4"],
    [["notices"], "sud_guard", "4"],
    [["notices"], "sud_in_handler", "alt", "nested"],
  ];

for (const [looked, name, ...args] of SUBJECTS) {
  const title = variantName(name, args);
  const ignore = name.startsWith("sud_") && !backend.usable;
  const looks: Readonly<Record<Looked, string>> = {
    notices: "it does not notice a snapshot",
    moment: "a snapshot is of one moment",
  };
  for (const look of looked) {
    Deno.test({
      name: `${title}: ${looks[look]}`,
      ignore,
      async fn(t) {
        using images = new ImageHome();
        await using subject = await Subject.start(name, { args });
        if (subject.unsupported !== null) return skip(t, subject.unsupported);
        deepEqual(await takeSnapshotOf(subject, images), []);
        if (look === "moment") await bringsBackAfterKill(subject, images);
        else await subject.expectPass();
      },
    });
  }
}

/** Kills a subject that was saved while it ran on, restores it, and has it judge itself. */
async function bringsBackAfterKill(subject: Subject, images: ImageHome): Promise<void> {
  for (const pid of processTree(subject.pid)) Deno.kill(pid, "SIGKILL");
  await subject.waitGone();
  const tree = await restore(images.directory);
  await subject.expectPass();
  await tree.wait();
}

/** Takes a snapshot of threads that have written to all of their memory before all is saved. @returns what was noted */
async function takeSnapshotOfWritten(subject: Subject, images: ImageHome): Promise<string[]> {
  const pages = Number(subject.facts.get("pages"));
  const notes: string[] = [];
  let before = Infinity;
  let isWritten = false;
  await checkpoint(subject.pid, {
    directory: images.directory,
    leaveRunning: true,
    options: SNAPSHOT,
    onEvent: (event) => {
      collectNotes(notes)(event);
      if (event.kind === "phase" && event.phase === "pages") before = minorFaults(subject.pid);
      if (isWritten || event.kind !== "progress") return;
      if (readStatus(subject.pid).tracerPid !== 0) return;
      // Nothing more is written before all pages have been written to: each of them costs a fault since the fork.
      while (minorFaults(subject.pid) < before + pages) pause(5);
      isWritten = event.done < event.total;
    },
  });
  ok(isWritten, "the subject wrote to all of its memory while there was some to be saved");
  return notes;
}

Deno.test("a snapshot of threads that write to all of their memory meanwhile is of one moment, on which they agree", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("agreed", { args: [MORE] });
  await takeSnapshotOfWritten(subject, images);
  await bringsBackAfterKill(subject, images);
});

Deno.test("a tree stands still again behind the limit of a snapshot, whose images are right all the same", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("snapshot", { args: ["plain", "160", "2"] });
  const notes: string[] = [];
  await checkpoint(subject.pid, {
    directory: images.directory,
    leaveRunning: true,
    options: { ...SNAPSHOT, snapshotLimit: 0n },
    onEvent: collectNotes(notes),
  });
  match(notes.join("\n"), /stands still again/);
  equal(readStatus(subject.pid).tracerPid, 0);
  await bringsBackAfterKill(subject, images);
});

Deno.test("the limit of a snapshot is half of what the control groups of the tree leave it", async (t) => {
  const found = Hierarchy.having("memory");
  if (typeof found === "string") return skip(t, found);
  await using hierarchy = found;
  using images = new ImageHome();
  const group = hierarchy.make();
  await using subject = await Subject.start("agreed", { args: ["112"] });
  const limit = hierarchy.name === "" ? "memory.max" : "memory.limit_in_bytes";
  deepEqual(await takeSnapshotOfWritten(subject, images), []);
  // What it has does not count for a group that it enters; copies do that are made since.
  group.write(limit, String(160 << 20));
  group.enter(subject.pid);
  using more = new ImageHome();
  const [again = ""] = await takeSnapshotOfWritten(subject, more);
  match(again, /stands still again/);
  equal(readStatus(subject.pid).tracerPid, 0);
  // What is restored counts there.
  group.write(limit, String(1n << 30n));
  await bringsBackAfterKill(subject, more);
});

Deno.test("a task that may have no shadow stands still while its memory is written, which is noted", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("snapshot", { args: ["crowded"] });
  const [note, ...others] = await takeSnapshotOf(subject, images);
  match(note ?? "", /^task \d+ stands still while its memory is written: .*EAGAIN/);
  deepEqual(others, []);
  await bringsBackAfterKill(subject, images);
});

Deno.test("the first process of a pid namespace gets no orphan by a snapshot from inside", async () => {
  const words = ["--pid", "--fork", "--mount-proc", "--kill-child"];
  await using subject = await Subject.spawn("unshare", {
    args: [...words, await buildSubject("snapshot"), "plain", MORE, "1"],
  });
  await subject.waitReady();
  const [init = 0] = readChildren(subject.pid);
  using room = new ImageRoom();
  const save = async (...more: string[]) => {
    const saving = ["checkpoint", "1", "-R", ...more, "-D", room.fresh()];
    const through = ["nsenter", `--target=${init}`, "--pid", "--mount", "--"];
    const { status, stderr } = await stasis(saving, { through });
    equal(status, 0, stderr);
    return stderr;
  };
  const note = /task 1 stands still while its memory is written: the first process of this pid/;
  match(await save(), note);
  doesNotMatch(await save("--no-snapshot"), note);
  Deno.kill(init, "SIGTERM");
  await subject.expectPass();
});

Deno.test("a snapshot that fails when the tree runs again leaves neither a directory nor a shadow", async (t) => {
  await using subject = await Subject.start("snapshot", { args: ["plain", "32"] });
  using room = new ImageRoom();
  const left = () => [...readChildren(subject.pid), ...shadowsOf(subject)];
  await withSmallDisk(room.path, t, async (disk) => {
    disk.limit("size=20m");
    const settings = { directory: `${disk.path}/images`, leaveRunning: true, options: SNAPSHOT };
    const full = await failureOf(checkpoint(subject.pid, settings));
    equal(full.errno, "ENOSPC");
    deepEqual([...Deno.readDirSync(disk.path)], []);
    deepEqual(left(), []);
    disk.limit("size=60m");
    const controller = new AbortController();
    const cancelled = await failureOf(checkpoint(subject.pid, {
      ...settings,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.kind === "phase" && event.phase === "release") controller.abort();
      },
    }));
    equal(cancelled.code, "cancelled");
    deepEqual([...Deno.readDirSync(disk.path)], []);
    deepEqual(left(), []);
    const before = oomScoreAdj(subject.pid);
    const offered: string[] = [];
    const killed = await failureOf(checkpoint(subject.pid, {
      ...settings,
      onEvent: (event) => {
        if (event.kind !== "phase" || event.phase !== "release") return;
        for (const shadow of shadowsOf(subject)) {
          offered.push(oomScoreAdj(shadow));
          Deno.kill(shadow, "SIGKILL");
        }
      },
    }));
    // The OOM killer would have taken it first.
    deepEqual([offered, oomScoreAdj(subject.pid)], [["1000"], before]);
    match(killed.message, /^the shadow of task \d+, which held its memory, was killed/);
    deepEqual([...Deno.readDirSync(disk.path)], []);
  });
  await subject.expectPass();
});

for (const limited of [true, false]) {
  const where = limited ? "stays in the control groups of its task" : "gets into the tool's";
  const when = limited ? "these limit its memory" : "its task's limit none";
  Deno.test(`a shadow ${where} where ${when}`, (t) => looksAtGroups(t, limited));
}

async function looksAtGroups(t: Deno.TestContext, limited: boolean): Promise<void> {
  const found = Hierarchy.having("memory");
  if (typeof found === "string") return skip(t, found);
  await using hierarchy = found;
  using images = new ImageHome();
  const group = hierarchy.make();
  const limit = hierarchy.name === "" ? "memory.max" : "memory.limit_in_bytes";
  if (limited) group.write(limit, String(1n << 30n));
  await using subject = await Subject.start("snapshot", { args: ["plain", "32"] });
  group.enter(subject.pid);
  const seen = new Set<string>();
  await checkpoint(subject.pid, {
    directory: images.directory,
    leaveRunning: true,
    options: SNAPSHOT,
    onEvent: (event) => {
      // When the tree runs again.
      if (event.kind !== "progress" || readStatus(subject.pid).tracerPid !== 0) return;
      for (const shadow of shadowsOf(subject)) seen.add(groupOf(hierarchy, shadow));
    },
  });
  deepEqual([...seen], [limited ? group.path : groupOf(hierarchy, Deno.pid)]);
  await subject.expectPass();
}

/** Has a locked file, a listening socket, and memory; says which port that is. */
const HOLDER = `import fcntl, socket, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
listener = socket.create_server(("127.0.0.1", 0))
memory = b"x" * (64 << 20)
print(listener.getsockname()[1], flush=True)
time.sleep(1000)`;

Deno.test("what a task has locked and listens on is free when it ends, though its shadow is there still", async () => {
  using room = new ImageRoom();
  const file = `${room.path}/locked`;
  await using subject = await Subject.spawn("python3", { args: ["-c", HOLDER, file] });
  await waitUntil(() => subject.output().endsWith("\n"), () => subject.errors());
  const port = Number(subject.output());
  const isFree = () =>
    new Deno.Command("flock", { args: ["--nonblock", file, "true"] }).outputSync().success;
  ok(!isFree());
  const command = commandLine(subject.pid);
  const { session } = readStat(subject.pid);
  const seen: unknown[] = [];
  let isKilled = false;
  await checkpoint(subject.pid, {
    directory: room.fresh(),
    leaveRunning: true,
    options: SNAPSHOT,
    onEvent: (event) => {
      if (isKilled || event.kind !== "progress" || readStatus(subject.pid).tracerPid !== 0) return;
      isKilled = true;
      Deno.kill(subject.pid, "SIGKILL");
      while (unlessGone(() => readStat(subject.pid).state, "Z") !== "Z") pause(1);
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      for (const shadow of shadowsOf(subject, command)) {
        // But for the images.
        const kept = readFds(shadow).map((fd) => Deno.readLinkSync(`/proc/${shadow}/fd/${fd}`))
          .filter((path) => !path.endsWith("/pages-1.img"));
        seen.push([kept, readStat(shadow).session === session, isFree()]);
      }
    },
  });
  deepEqual(seen, [[[], false, true]]);
});

Deno.test("a snapshot fails where its limit demands that a tree stands still whose root has ended", async () => {
  await using subject = await Subject.start("pages_changing", { args: ["8192"] });
  // One that has ended has none, as every other one that has.
  const command = commandLine(subject.pid);
  using room = new ImageRoom();
  const directory = room.fresh();
  const failure = await failureOf(checkpoint(subject.pid, {
    directory,
    leaveRunning: true,
    options: { ...SNAPSHOT, snapshotLimit: 1n << 20n },
    onEvent: (event) => {
      if (event.kind !== "phase" || event.phase !== "release") return;
      Deno.kill(subject.pid, "SIGKILL");
      while (unlessGone(() => readStat(subject.pid).state, "Z") !== "Z") pause(1);
    },
  }));
  equal(failure.code, "no-such-task");
  match(failure.message, /^task \d+ has ended while its memory was being written/);
  room.assertAbsent(directory);
  deepEqual(shadowsOf(subject, command), []);
});

Deno.test("nothing is left where the tool is killed in the middle of a snapshot", async () => {
  await using subject = await Subject.start("snapshot", { args: ["subreaper", MORE, "1"] });
  // Shadows are made in the last third.
  await killsFrom(0.6, subject, async (where) => {
    deepEqual(readChildren(subject.pid), [], where);
    await waitUntil(() => shadowsOf(subject).length === 0, () => `${where}: shadows to end`);
  });
});

/** The shadows of a subject that live: they have its command line. */
function shadowsOf({ pid }: Subject, own = commandLine(pid)): number[] {
  return allPids().filter((other) => other !== pid && commandLine(other) === own);
}

function oomScoreAdj(pid: number): string {
  return Deno.readTextFileSync(`/proc/${pid}/oom_score_adj`).trim();
}

/** How many pages a process has got without a disk (proc_pid_stat(5), `minflt`). */
function minorFaults(pid: number): number {
  const line = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(line.slice(line.lastIndexOf(")") + 2).split(" ")[7]);
}

/** The command line of a process; undefined of one that is gone. */
function commandLine(pid: number): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return undefined;
  }
}
