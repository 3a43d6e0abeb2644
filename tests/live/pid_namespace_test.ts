/**
 * A tree that keeps its ids in a pid namespace of its own: whatever is taken, several times at once, with an init that
 * reaps and that ends in time; and what is said of taken ids where it has none.
 */
import { deepEqual, equal, match, throws } from "@std/assert";
import { readStat, readStatus, unlessGone } from "../../core/linux/procfs/mod.ts";
import { checkpoint, planRestore, restore } from "../../mod.ts";
import { allPids, processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { startStasis, stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { becomesSleep, collectNotes, ImageHome, startSleeper } from "./round_trip.ts";

const APART = { options: { newPidNamespace: true } };

/** The init of the pid namespace that a process is in, as it is called here. */
function initOf(pid: number): number {
  const namespace = (of: number) => Deno.readLinkSync(`/proc/${of}/ns/pid`);
  const own = namespace(pid);
  const init = allPids().find((id) => {
    try {
      return namespace(id) === own && readStatus(id).nsPid.at(-1) === 1;
    } catch {
      // It is gone.
      return false;
    }
  });
  if (init === undefined) throw new Error(`the namespace of task ${pid} has no init`);
  return init;
}

/** Whether it has ended; the init of the machine takes seconds to reap what is left to it. */
const isGone = (pid: number) => ["Z", "X", undefined].includes(readProcess(pid)?.state);

for (
  const [name, args] of [
    ["tree_kin", []],
    ["tree_reports", []],
    ["dead_proc", []],
    ["sud_threads", ["3"]],
    ["timer_posix", []],
    ["sig_pending", []],
  ] as const
) {
  Deno.test(`${name}: it is restored twice at once under ids that are taken`, async () => {
    using images = new ImageHome();
    await using subject = await Subject.start(name, { args });
    await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
    const trees = [];
    try {
      for (const _ of ["first", "second"]) {
        const tree = await restore(images.directory, APART);
        trees.push(tree);
        equal(tree.innerPid, subject.pid);
        equal(readStatus(tree.pid).nsPid.at(-1), subject.pid);
      }
      for (const tree of trees) {
        const init = initOf(tree.pid);
        tree.kill(15);
        deepEqual(await tree.wait(), { code: 0 }, subject.output());
        await waitUntil(() => isGone(init), "the init to end");
      }
    } finally {
      for (const tree of trees) tree.kill(9);
    }
    await subject.expectPass();
  });
}

/** A sleeper with files of `/proc` of a process open, by numbers 5 to 7, and of process 1, which works in the directory of it. */
async function startReader(of: number): Promise<Subject> {
  const files = `5</proc/${of} 6</proc/${of}/status 7</proc/${of}/net/dev 8</proc/1/stat`;
  return await startSleeper(`exec ${files}; read -n 10 -u 6; cd /proc/${of}`);
}

Deno.test("files of /proc of a process outside are those of one that has ended, in a pid namespace of its own", async () => {
  using images = new ImageHome();
  await using outside = await startSleeper("true");
  await using subject = await startReader(outside.pid);
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const notes: string[] = [];
  const tree = await restore(images.directory, { ...APART, onEvent: collectNotes(notes) });
  try {
    checkEnded(tree.pid, outside.pid, notes);
  } finally {
    tree.kill(9);
    await tree.wait();
  }
  equal(Deno.readLinkSync(`/proc/${subject.pid}/cwd`), `/proc/${outside.pid}`);
});

Deno.test("files of /proc of a process outside that has ended by the restore are those of one that has ended", async () => {
  using images = new ImageHome();
  await using outside = await startSleeper("true");
  await using subject = await startReader(outside.pid);
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  await outside.kill();
  await outside.waitGone();
  const notes: string[] = [];
  const tree = await restore(images.directory, { onEvent: collectNotes(notes) });
  checkEnded(tree.pid, outside.pid, notes);
  tree.kill(9);
  await tree.wait();
});

/** Looks at what a reader has of a process that has ended, and at what was said of it. */
function checkEnded(pid: number, outside: number, notes: readonly string[]): void {
  const links = ["cwd", "fd/5", "fd/6", "fd/7"].map((name) =>
    Deno.readLinkSync(`/proc/${pid}/${name}`)
  );
  const directory = `/proc/${outside} (deleted)`;
  const files = ["status", "net/dev"].map((name) => `/proc/${outside}/${name}`);
  deepEqual(links, [directory, directory, ...files]);
  match(Deno.readTextFileSync(`/proc/${pid}/fdinfo/6`), /^pos:\s+10$/m);
  throws(() => Deno.readDirSync(`/proc/${pid}/fd/5/`).next());
  const said = notes.filter((note) => note.includes("is of a process that is not there"));
  deepEqual(said.length, 4, notes.join("; "));
}

/** A shell whose child ends by itself when `end` is there; the shell ends at SIGTERM, and leaves a sleeper. */
const SHELL = `
trap "exit 7" TERM
sleep 1000 & sleeper=$!
(until [ -e end ]; do sleep 0.05; done; exec sleep 0.1) & disown
echo $sleeper > sleeper
echo ready
while :; do wait $sleeper; done`;

async function startShell(): Promise<Subject> {
  const subject = await Subject.spawn("/bin/bash", { args: ["-c", SHELL] });
  await subject.waitReady();
  await becomesSleep(Number(Deno.readTextFileSync(`${subject.cwd}/sleeper`)));
  return subject;
}

Deno.test("the init of the namespace lives as long as the tree, and longer than the tool", async () => {
  using images = new ImageHome();
  await using subject = await startShell();
  const sleeper = Number(Deno.readTextFileSync(`${subject.cwd}/sleeper`));
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const tool = startStasis(["restore", images.directory, "--new-pid-namespace"]);
  const roots = () => subject.pids().filter((pid) => readProcess(pid)?.comm === "bash");
  const isApart = (pid: number) => unlessGone(() => readStatus(pid).nsPid.length > 1, false);
  const root = () =>
    roots().find((pid) => isApart(pid) && readStatus(pid).nsPid.at(-1) === subject.pid);
  await waitUntil(() => root() !== undefined && readStatus(root()!).tracerPid === 0, "the tree");
  const pid = root() as number;
  const init = initOf(pid);
  // It keeps no file system busy.
  equal(Deno.readLinkSync(`/proc/${init}/cwd`), "/");
  tool.kill("SIGKILL");
  await tool.outcome;
  // It goes on without the tool, and without its root.
  Deno.writeTextFileSync(`${subject.cwd}/end`, "");
  Deno.kill(pid, "SIGTERM");
  const left = () =>
    subject.pids().filter((pid) => isApart(pid) && !["Z", "X"].includes(readStat(pid).state));
  await waitUntil(() => left().length === 1, "all but the sleeper to end");
  equal(readStatus(left()[0]!).nsPid.at(-1), sleeper);
  // Whatever it has adopted and has ended is no zombie.
  deepEqual(processTree(init).filter((pid) => readProcess(pid)?.state === "Z"), []);
  Deno.kill(left()[0]!, "SIGKILL");
  await waitUntil(() => isGone(init), "the init to end");
});

Deno.test("a tree in a namespace of its own is checkpointed from inside, and restored again", async () => {
  using images = new ImageHome();
  using again = new ImageHome();
  await using subject = await Subject.start("tree_kin");
  await checkpoint(subject.pid, { directory: images.directory });
  await subject.waitGone();
  const tree = await restore(images.directory, APART);
  const ending = tree.wait();
  const saved = await stasis(["checkpoint", String(subject.pid), "-D", again.directory], {
    through: ["nsenter", `--target=${tree.pid}`, "--pid", "--mount", "--"],
  });
  equal(saved.status, 0, saved.stderr);
  deepEqual(await ending, { signal: 9 });
  const second = await restore(again.directory, APART);
  second.kill(15);
  deepEqual(await second.wait(), { code: 0 });
});

Deno.test("the init of a pid namespace is saved from inside, and is the init of another one again", async () => {
  using images = new ImageHome();
  const script =
    'trap "exit 5" TERM; (sleep 1000 & exec sleep 1000) & echo ready; while :; do wait -n; sleep 0.1; done';
  const words = ["--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", script];
  await using subject = await Subject.spawn("unshare", { args: words });
  await subject.waitReady();
  const inside = () => processTree(subject.pid).filter((pid) => pid !== subject.pid);
  await waitUntil(
    () => inside().filter((pid) => readProcess(pid)?.comm === "sleep").length === 2,
    "two",
  );
  const [init] = inside();
  const { status, stderr } = await stasis(["checkpoint", "1", "-R", "-D", images.directory], {
    through: ["nsenter", `--target=${init}`, "--pid", "--mount", "--"],
  });
  equal(status, 0, stderr);
  const tree = await restore(images.directory, APART);
  equal(readStatus(tree.pid).nsPid.at(-1), 1);
  equal(processTree(tree.pid).length, 3);
  tree.kill(15);
  deepEqual(await tree.wait(), { code: 5 });
  // It was their init: they are gone with it.
  deepEqual(tree.pids.filter((pid) => !isGone(pid)), []);
});

Deno.test("a restore that fails in a namespace of its own leaves nothing of it", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("tree_kin");
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const plan = await planRestore(images.directory, APART);
  const last = plan.tasks.at(-1)!;
  last.program("late").call("getpgid", -5);
  const before = subject.pids();
  const error = await restore(plan).then(() => undefined, (error: Error) => error);
  match(error?.message ?? "it was restored", /getpgid/);
  await waitUntil(() => subject.pids().join() === before.join(), "all of it to be gone");
  await subject.expectPass();
});

Deno.test("a dry run and a restore name all ids that are taken, before anything is built", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("threads_many", { args: ["3"] });
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true });
  const tids = [...Deno.readDirSync(`/proc/${subject.pid}/task`)].map(({ name }) => name);
  const dry = await stasis(["restore", images.directory, "--dry-run"]);
  equal(dry.status, 9, dry.stderr);
  const refused = await stasis(["restore", images.directory]);
  equal(refused.status, 9, refused.stderr);
  for (const tid of tids) {
    match(dry.stderr, new RegExp(`^note: pid ${tid} is taken by another task`, "m"));
    match(refused.stderr, new RegExp(`pid ${tid} is taken by another task`));
  }
  match(refused.stderr, /--new-pid-namespace/);
  const apart = await stasis(["restore", images.directory, "--dry-run", "--new-pid-namespace"]);
  equal(apart.stderr, "");
  await subject.expectPass();
});
