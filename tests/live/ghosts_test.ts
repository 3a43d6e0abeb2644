import { deepEqual, equal, match, ok, rejects } from "@std/assert";
import { SEARCH_LIMITS } from "../../core/checkpoint/other_names.ts";
import { checkpoint, definePlugin, planRestore, restore, type StasisError } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { ImageRoom } from "../harness/unharmed.ts";
import {
  becomesSleep,
  bringsBack,
  collectNotes,
  ImageHome,
  leavesAlone,
  notesOfSaving,
  startSleeper,
} from "./round_trip.ts";

/** A name that another file has taken, one of two names that is left, and what has no name but a number. */
const RENAMED = [/\/fd\/\d+$/];

Deno.test("ghosts: it is what it was after a restore", (t) =>
  bringsBack(t, "ghosts", { ignore: RENAMED }));
Deno.test("ghosts: a checkpoint that lets it run changes nothing", (t) => leavesAlone(t, "ghosts"));

/** What is in a directory. */
function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

Deno.test("a restore makes deleted files where they were, and leaves nothing there", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    "mkdir -p a/b; exec 5<a/b 6>a/b/file 7>here; echo 1 >&6; echo 2 >&7; cd a/b; rm -r ../../a ../../here",
  );
  const links = () => [5, 6, 7].map((fd) => Deno.readLinkSync(`/proc/${subject.pid}/fd/${fd}`));
  const before = links();
  await checkpoint(subject.pid, images);
  deepEqual(names(subject.cwd), []);
  const tree = await restore(images.directory);
  deepEqual(names(subject.cwd), []);
  deepEqual(links(), before);
  equal(Deno.readLinkSync(`/proc/${subject.pid}/cwd`), `${subject.cwd}/a/b (deleted)`);
  equal(Deno.readTextFileSync(`/proc/${subject.pid}/fd/6`), "1\n");
  // Once more: what was made anew is a deleted file like any other.
  using again = new ImageHome();
  await checkpoint(subject.pid, again);
  await tree.wait();
  const second = await restore(again.directory);
  deepEqual(links(), before);
  equal(Deno.readTextFileSync(`/proc/${subject.pid}/fd/7`), "2\n");
  second.kill(9);
  await second.wait();
});

Deno.test("a restore that fails later leaves no deleted file behind", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("mkdir a; exec 5>a/file; rm -r a");
  await checkpoint(subject.pid, images);
  const plan = await planRestore(images.directory);
  deepEqual(names(subject.cwd), []);
  plan.task(subject.pid).program("open").call("close", 54321);
  await rejects(() => restore(plan), { code: "syscall" });
  deepEqual(names(subject.cwd), []);
});

Deno.test("a program whose executable was deleted comes back with it", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/bin/bash", {
    args: ["-c", "cp -p /bin/sleep ./sleep; exec ./sleep 1000"],
  });
  await becomesSleep(subject.pid);
  const program = Deno.readFileSync(`${subject.cwd}/sleep`);
  Deno.removeSync(`${subject.cwd}/sleep`);
  await checkpoint(subject.pid, images);
  const tree = await restore(images.directory);
  deepEqual(Deno.readFileSync(`/proc/${subject.pid}/exe`), program);
  equal(Deno.readLinkSync(`/proc/${subject.pid}/exe`), `${subject.cwd}/sleep (deleted)`);
  deepEqual(names(subject.cwd), []);
  tree.kill(9);
  await tree.wait();
});

Deno.test("a deleted file of any size is saved if the user says so", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    "exec 5>large; rm large; head -c 3000000 /dev/urandom >&5",
  );
  const path = `/proc/${subject.pid}/fd/5`;
  const before = Deno.readFileSync(path);
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: { ghostLimit: 3_000_000n },
  });
  const tree = await restore(images.directory);
  deepEqual(Deno.readFileSync(path), before);
  tree.kill(9);
  await tree.wait();
});

/** How many bytes this process has read by system calls. */
const bytesRead = () => Number(/^rchar: (\d+)$/m.exec(Deno.readTextFileSync("/proc/self/io"))?.[1]);

Deno.test("of a deleted file of gigabytes with thousands of holes what is none is saved, and no hole is read", async () => {
  using images = new ImageHome();
  const pieces = 4000;
  const step = 1n << 21n;
  await using subject = await startSleeper(
    `exec 5<>sparse; rm sparse; exec python3 -c 'import os
for i in range(${pieces}): os.pwrite(5, b"%d " % i, i * ${step})
os.ftruncate(5, ${pieces} * ${step})
os.execv("/bin/sleep", ["sleep", "1000"])'`,
  );
  const path = `/proc/${subject.pid}/fd/5`;
  const blocks = Number(Deno.statSync(path).blocks);
  const before = bytesRead();
  await checkpoint(subject.pid, {
    directory: images.directory,
    options: { ghostLimit: 32_000_000n },
  });
  const read = bytesRead() - before;
  ok(read < 1 << 30, `${read} bytes were read of a file of ${BigInt(pieces) * step}`);
  const tree = await restore(images.directory);
  const { size, blocks: restored } = Deno.statSync(path);
  equal(BigInt(size), BigInt(pieces) * step);
  // A file system counts blocks of its own, as many as it takes, and when they are written.
  ok(Math.abs(Number(restored) - blocks) < blocks / 10, `${restored} instead of ${blocks}`);
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(8);
  for (const index of [0, 1, 511, pieces - 1]) {
    file.seekSync(BigInt(index) * step, Deno.SeekMode.Start);
    file.readSync(bytes);
    equal(new TextDecoder().decode(bytes), `${index} `.padEnd(8, "\0"));
  }
  tree.kill(9);
  await tree.wait();
});

Deno.test("a file whose name was deleted is saved by another name in the same directory", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("echo text >a; exec 5<a; ln a b; rm a");
  await checkpoint(subject.pid, images);
  const tree = await restore(images.directory);
  equal(Deno.readLinkSync(`/proc/${subject.pid}/fd/5`), `${subject.cwd}/b`);
  deepEqual(names(subject.cwd), ["b"]);
  tree.kill(9);
  await tree.wait();
});

Deno.test("a file whose name was deleted is saved by a name in another directory", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    "mkdir -p a/b c/d/e; echo text >a/b/f; exec 5<a/b/f; ln a/b/f c/d/e/g; rm -r a",
  );
  await checkpoint(subject.pid, images);
  const tree = await restore(images.directory);
  equal(Deno.readLinkSync(`/proc/${subject.pid}/fd/5`), `${subject.cwd}/c/d/e/g`);
  deepEqual(names(subject.cwd), ["c"]);
  tree.kill(9);
  await tree.wait();
});

/** Sets up a file that is open twice and executed, whose only name lies behind more directories than are searched. */
const HIDDEN = `mkdir -p d/{0..${SEARCH_LIMITS.directories}} d/0/far a; cp -p /bin/sleep a/f
exec 5<a/f 6<a/f; ln a/f d/0/far/g; rm -r a; exec /proc/self/fd/6 1000`;

/** Starts a program whose executable is such a file. */
async function startHidden(): Promise<Subject> {
  const subject = await Subject.spawn("/bin/bash", { args: ["-c", HIDDEN] });
  const link = () => Deno.readLinkSync(`/proc/${subject.pid}/exe`);
  await waitUntil(() => link() === `${subject.cwd}/a/f (deleted)`, () => `it is ${link()}`);
  return subject;
}

/** The names that a checkpoint has made. */
const linkRemaps = (subject: Subject) =>
  names(subject.cwd).filter((name) => name.startsWith("link_remap."));

for (const leaveRunning of [false, true]) {
  const how = leaveRunning ? "runs on" : "ends";
  Deno.test(`--link-remap gives a file a name until a tree that ${how} is restored`, async () => {
    using images = new ImageHome();
    await using subject = await startHidden();
    const { pid, cwd } = subject;
    const inode = () => Deno.statSync(`/proc/${pid}/fd/5`).ino;
    const before = inode();
    const options = { linkRemap: true };
    await checkpoint(pid, { directory: images.directory, leaveRunning, options });
    // One for each entry of files.img.
    equal(linkRemaps(subject).length, 3);
    if (leaveRunning) await subject.kill();
    await subject.waitGone();
    const tree = await restore(images.directory);
    equal(Deno.readLinkSync(`/proc/${pid}/exe`), `${cwd}/a/f (deleted)`);
    equal(Deno.readLinkSync(`/proc/${pid}/fd/5`), `${cwd}/a/f (deleted)`);
    equal(inode(), before);
    deepEqual(names(cwd), ["d"]);
    equal(Deno.statSync(`${cwd}/d/0/far/g`).nlink, 1);
    tree.kill(9);
    await tree.wait();
    await rejects(() => restore(images.directory), (error: StasisError) => {
      equal(error.code, "conflict");
      for (const { what } of error.problems) match(what, /link_remap\S* does not exist$/);
      return true;
    });
  });
}

Deno.test("no name that leads to another file is used in its place, or deleted", async () => {
  using images = new ImageHome();
  await using subject = await startHidden();
  const { pid, cwd } = subject;
  const meant = Deno.statSync(`/proc/${pid}/fd/5`).ino;
  await checkpoint(pid, { directory: images.directory, options: { linkRemap: true } });
  await subject.waitGone();
  const made = linkRemaps(subject);
  // Of the same type and size, so that nothing else tells them apart.
  for (const name of made) {
    Deno.renameSync(`${cwd}/${name}`, `${cwd}/kept-${name}`);
    Deno.copyFileSync(`${cwd}/kept-${name}`, `${cwd}/${name}`);
  }
  await rejects(() => restore(images.directory), (error: StasisError) => {
    equal(error.code, "conflict");
    const found = error.problems.map(({ what }) => what);
    equal(found.length, 3);
    for (const what of found) match(what, /another file than the one that the checkpoint meant$/);
    return true;
  });
  deepEqual(linkRemaps(subject), made);
  const notes: string[] = [];
  const tree = await restore(images.directory, {
    options: { ignoreFileChange: true },
    onEvent: collectNotes(notes),
  });
  equal(Deno.statSync(`/proc/${pid}/fd/5`).ino !== meant, true);
  deepEqual(linkRemaps(subject), made);
  equal(notes.filter((note) => /^the name \S+ stays: /.test(note)).length, 3);
  tree.kill(9);
  await tree.wait();
});

Deno.test("no two checkpoints make the same name of files", async () => {
  using images = new ImageHome();
  using second = new ImageHome();
  await using subject = await startHidden();
  const options = { linkRemap: true };
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true, options });
  const made = linkRemaps(subject);
  for (const name of made) Deno.removeSync(`${subject.cwd}/${name}`);
  await checkpoint(subject.pid, { directory: second.directory, leaveRunning: true, options });
  deepEqual(linkRemaps(subject).filter((name) => made.includes(name)), []);
});

Deno.test("a checkpoint with --link-remap that fails takes its names away again", async () => {
  using images = new ImageHome();
  await using subject = await startHidden();
  const fails = definePlugin({
    name: "fails",
    description: "fails at the end",
    checkpoint: () => ({
      dumpLast() {
        equal(linkRemaps(subject).length, 3);
        throw new Error("it fails");
      },
    }),
  });
  const options = { linkRemap: true };
  const plugins = [fails];
  await rejects(() => checkpoint(subject.pid, { directory: images.directory, plugins, options }));
  deepEqual(names(subject.cwd), ["d"]);
});

/** A tool that is killed when the images are there but for their name. */
const KILLED = `
import { checkpoint, definePlugin } from "${new URL("../../mod.ts", import.meta.url)}";
const [pid, directory] = Deno.args;
const plugin = definePlugin({
  name: "suicide",
  description: "kills the tool",
  checkpoint: () => ({ dumpLast: () => Deno.kill(Deno.pid, "SIGKILL") }),
});
await checkpoint(Number(pid), { directory, plugins: [plugin], options: { linkRemap: true } });
`;

/** A tool that is killed when the tree is to live on, and its last names are there. */
const KILLED_RESTORE = `
import { definePlugin, restore } from "${new URL("../../mod.ts", import.meta.url)}";
const plugin = definePlugin({
  name: "suicide",
  description: "kills the tool",
  restore: () => ({ finish: () => Deno.kill(Deno.pid, "SIGKILL") }),
});
await restore(Deno.args[0], { plugins: [plugin] });
`;

Deno.test("names that a killed checkpoint or restore leaves are taken away by who outlives it, and no others", async () => {
  using room = new ImageRoom();
  await using subject = await startHidden();
  const script = `${room.path}/tool.ts`;
  Deno.writeTextFileSync(script, KILLED);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const run = ["run", "-A", "--no-check", "--config", config, script];
  const { signal } = await new Deno.Command(Deno.execPath(), {
    args: [...run, String(subject.pid), room.fresh()],
    stdin: "null",
  }).output();
  equal(signal, "SIGKILL");
  const [first, ...others] = linkRemaps(subject) as [string, ...string[]];
  equal(others.length, 2);
  // Another file has got one of the names.
  Deno.removeSync(`${subject.cwd}/${first}`);
  Deno.writeTextFileSync(`${subject.cwd}/${first}`, "mine");
  const directory = room.fresh();
  await checkpoint(subject.pid, { directory, leaveRunning: true, options: { linkRemap: true } });
  const left = linkRemaps(subject);
  equal(left.length, 4, "those of the new images, and that of the other file");
  equal(left.includes(first), true);
  deepEqual(others.filter((name) => left.includes(name)), []);
  deepEqual([...Deno.readDirSync(directory)].filter(({ name }) => name.startsWith(".")), []);

  await subject.kill();
  await subject.waitGone();
  Deno.writeTextFileSync(script, KILLED_RESTORE);
  const restoring = { args: [...run, directory] };
  equal((await new Deno.Command(Deno.execPath(), restoring).output()).signal, "SIGKILL");
  await waitUntil(() => linkRemaps(subject).length === 1, () => `${linkRemaps(subject)} to be one`);
  deepEqual(linkRemaps(subject), [first]);
  equal(subject.alive, true);
});

Deno.test("a restore makes no link to a name that no checkpoint would make", async () => {
  using images = new ImageHome();
  await using subject = await startHidden();
  await checkpoint(subject.pid, { directory: images.directory, options: { linkRemap: true } });
  await subject.waitGone();
  const [first] = linkRemaps(subject) as [string];
  Deno.writeTextFileSync(`${subject.cwd}/mine`, "text");
  const remap = { [`${subject.cwd}/${first}`]: `${subject.cwd}/mine` };
  const refused = () => restore(images.directory, { options: { remap, ignoreFileChange: true } });
  await rejects(refused, (error: StasisError) => {
    equal(error.code, "conflict");
    match(error.problems.map(({ what }) => what).join("\n"), /^the images .*, \S+\/mine/m);
    return true;
  });
  deepEqual(names(subject.cwd), ["d", "mine", ...linkRemaps(subject)].sort());
});

Deno.test("whoever shares a deleted file with others is told that it will not any more", async () => {
  using images = new ImageHome();
  await using outside = await startSleeper("exec 5>log; rm log");
  await using subject = await startSleeper(`exec 6>/proc/${outside.pid}/fd/5`);
  const notes: string[] = [];
  await checkpoint(subject.pid, {
    directory: images.directory,
    onEvent: collectNotes(notes),
  });
  deepEqual(notes, [
    `task ${outside.pid} has the deleted file ${outside.cwd}/log open too, and will not share it`,
  ]);
});

Deno.test("whoever has a file of O_TMPFILE is told what nothing tells of it", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    `exec python3 -c 'import os
os.dup2(os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL), 5)
os.execv("/bin/sleep", ["sleep", "1000"])'`,
  );
  const notes = await notesOfSaving(subject.pid, images.directory);
  equal(notes.length, 1);
  match(notes[0]!, /^descriptor 5 of task \d+ is a file without a name \(O_TMPFILE\): a restored/);
});
