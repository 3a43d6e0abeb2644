/** Who is whose child, leads what and shares what with whom comes back, or is refused in time. */
import { deepEqual, equal, match } from "@std/assert";
import { readStatus } from "../../core/linux/procfs/mod.ts";
import { checkpoint, EXIT_STATUS, planRestore, restore } from "../../mod.ts";
import { type ProcessLine, processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { withSmallDisk } from "../harness/small_disk.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf } from "../harness/unharmed.ts";
import {
  becomesSleep,
  bringsBack,
  collectNotes,
  ImageHome,
  leavesAlone,
  notesOfSaving,
  problemsOf,
} from "./round_trip.ts";

const SUBJECTS = [
  "tree_sessions",
  "tree_kin",
  "tree_orphans",
  "tree_reports",
  "dead_proc",
  "leaderless",
  "shared_memory",
];

for (const name of SUBJECTS) {
  Deno.test(`${name}: it is what it was after a restore`, (t) => bringsBack(t, name));
  Deno.test(`${name}: a checkpoint that lets it run changes nothing`, (t) => leavesAlone(t, name));
}

/** What is said of a program of the shell that cannot be restored. */
async function refusalOf(script: string): Promise<string> {
  await using subject = await Subject.spawn("/bin/bash", {
    args: ["-c", `set -m\n${script}\necho ready; exec sleep 1000`],
  });
  await subject.waitReady();
  // The shells of all of them have become what they are to be.
  const sleeps = (pid: number) =>
    /^(35|230) /.test(Deno.readTextFileSync(`/proc/${pid}/syscall`)) &&
    readProcess(pid)?.comm !== "bash";
  await waitUntil(() => processTree(subject.pid).every(sleeps), "all to sleep");
  return (await problemsOf(subject.pid)).map(({ what }) => what).join("; ");
}

Deno.test("an executable that has lost its permission is refused, and found out by a restore too", async () => {
  using images = new ImageHome();
  const script =
    "cp /bin/sleep mine; ./mine 1000 & until read x < /proc/$!/comm && [ $x = mine ]; do :; done";
  match(
    await refusalOf(`${script}; chmod -x mine`),
    /its executable \S+\/mine may not be executed any more/,
  );

  await using subject = await Subject.spawn("/bin/bash", {
    args: ["-c", "cp /bin/sleep mine; exec ./mine 1000"],
  });
  await becomesSleep(subject.pid, "mine");
  await checkpoint(subject.pid, images);
  Deno.chmodSync(`${subject.cwd}/mine`, 0o644);
  const error = await failureOf(planRestore(images.directory));
  match(error.problems.map(({ what }) => what).join(), /mine may not be executed any more/);
});

Deno.test("an executable on a file system that is noexec by now is refused", async (t) => {
  const room = Deno.makeTempDirSync();
  await withSmallDisk(room, t, async (disk) => {
    Deno.copyFileSync("/bin/sleep", `${disk.path}/mine`);
    await using subject = await Subject.spawn(`${disk.path}/mine`, { args: ["1000"] });
    // It has its name before its segments are mapped, which kills it from now on.
    await becomesSleep(subject.pid, "mine");
    disk.limit("noexec");
    match((await problemsOf(subject.pid)).map(({ what }) => what).join(), /mounted with noexec/);
    await subject.kill();
    await subject.waitGone();
  });
  Deno.removeSync(room, { recursive: true });
});

Deno.test("a process group that somebody outside is in as well is refused", async () => {
  // The group's leader ends, and so does the parent of the member that stays outside.
  const outside = "(sleep 1000 & echo $! > outside)";
  const script = `(trap '' HUP; ${outside}; exec sleep 1000) & until [ -s outside ]; do :; done`;
  match(
    await refusalOf(script),
    /its process group \d+ has task \d+ \(sleep\) outside of the tree in it/,
  );
});

Deno.test("a program whose output another one of its group reads to the end is saved without that", async () => {
  using images = new ImageHome();
  // As an interactive shell has it: one group, whose first program leads it.
  const script = "set -m; sleep 1000 | cat & echo ready; wait; echo over; exec sleep 1000";
  await using subject = await Subject.spawn("/bin/bash", { args: ["-c", script] });
  await subject.waitReady();
  const [root, reader] = await Promise.all(["sleep", "cat"].map(async (name) => {
    const find = () => processTree(subject.pid).find((pid) => readProcess(pid)?.comm === name);
    await waitUntil(() => find() !== undefined, `${name} to be executed`);
    return find() as number;
  })) as [number, number];
  await becomesSleep(root);
  const notes: string[] = [];
  const { directory } = images;
  await checkpoint(root, { directory, onEvent: collectNotes(notes) });
  match(notes.join("\n"), new RegExp(`task ${reader} \\(cat\\).* is in its process group ${root}`));
  await waitUntil(() => subject.output().includes("over"), "cat to end");
  const tree = await restore(directory);
  equal(readProcess(root)?.pgrp, root);
  tree.kill(15);
  await tree.wait();
});

Deno.test("a tree whose process group somebody outside is in has it again in a pid namespace of its own", async () => {
  using images = new ImageHome();
  const outside = "(sleep 1000 & echo $! > outside)";
  const script =
    `set -m; (trap '' HUP; ${outside}; exec sleep 1000) & until [ -s outside ]; do :; done; echo ready; exec sleep 1000`;
  await using subject = await Subject.spawn("/bin/bash", { args: ["-c", script] });
  await subject.waitReady();
  const [root, member] = processTree(subject.pid) as [number, number];
  await becomesSleep(root);
  await becomesSleep(member);
  await checkpoint(root, { directory: images.directory, leaveRunning: true });
  for (const pid of [member, root]) Deno.kill(pid, "SIGKILL");
  await waitUntil(
    () => [root, member].every((pid) => readProcess(pid) === null),
    "them to be gone",
  );
  const error = await failureOf(restore(images.directory));
  const taken = new RegExp(`pid ${member} is taken by the process group of task \\d+ \\(sleep\\)`);
  match(error.problems.map(({ what }) => what).join(), taken);
  const dry = await stasis(["restore", images.directory, "--dry-run"]);
  equal(dry.status, EXIT_STATUS.conflict);
  match(dry.stderr, taken);
  const tree = await restore(images.directory, { options: { newPidNamespace: true } });
  const groups = tree.pids.map((pid) => readStatus(pid).nsPgid.at(-1));
  deepEqual(groups, [root, member]);
  tree.kill(9);
  await tree.wait();
});

Deno.test("a process that shares its memory with one outside of the tree is refused", async () => {
  await using subject = await Subject.start("shared_memory");
  const child = Number(subject.fact("child"));
  match(
    (await problemsOf(child)).map(({ what }) => what).join(),
    new RegExp(`it shares its memory with process ${subject.pid} \\(shared_memory\\S*\\) outside`),
  );
  await subject.expectPass();
});

Deno.test("a process that shares descriptors and directories with one outside is told so", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("files_shared_between");
  const pid = Number(subject.fact("sharing"));
  const notes = await notesOfSaving(pid, images.directory);
  deepEqual(
    notes.filter((note) => note.includes("will not after a restore")),
    [["descriptor table", "CLONE_FILES"], ["directories and umask", "CLONE_FS"]].map((
      [what, flag],
    ) =>
      `task ${pid} shares its ${what} with process ${subject.pid} (${
        readProcess(subject.pid)?.comm
      }) outside of the tree (${flag}), and will not after a restore`
    ),
  );
  await subject.expectPass();
});

Deno.test("a root that leads nothing gets the session and group of the restore, which says so", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/bin/bash", {
    args: ["-c", "sleep 1000 & echo ready; while :; do wait; sleep 0.1; done"],
  });
  await subject.waitReady();
  const child = processTree(subject.pid).at(-1) as number;
  await becomesSleep(child);
  const { session } = readProcess(child) as ProcessLine;
  await checkpoint(child, images);
  await waitUntil(() => readProcess(child) === null, "the child to be reaped");
  const notes: string[] = [];
  const tree = await restore(images.directory, {
    onEvent: collectNotes(notes),
  });
  const { pgrp, session: own } = readProcess(child) as ProcessLine;
  equal(pgrp, readProcess(Deno.pid)?.pgrp);
  equal(own, readProcess(Deno.pid)?.session);
  deepEqual(notes, [
    `session ${session} and process group ${session} of task ${child} are outside of the tree: it gets this tool's`,
  ]);
  tree.kill(9);
  await tree.wait();
});

Deno.test("a root that wants to die with its parent outlives a restore that ends at once, which says so", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("setpriv", {
    args: ["--pdeathsig", "KILL", "sleep", "1000"],
  });
  await becomesSleep(subject.pid);
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const { status, stderr } = await stasis(["restore", images.directory, "--detach"]);
  equal(status, 0, stderr);
  match(stderr, /thread \d+ wanted SIGKILL at the end of its parent: it is not set/);
  equal(subject.alive, true);
  await becomesSleep(subject.pid);
});
