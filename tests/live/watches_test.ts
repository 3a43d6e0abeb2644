/** Watches of files and directories: what they are, and what programs that depend on them see afterwards. */

import { equal, match } from "@std/assert";
import { readFdInfo, readFds } from "../../core/linux/procfs/mod.ts";
import { INVENTORY } from "../../images/kinds/core.ts";
import { FILES } from "../../images/kinds/files.ts";
import { MANIFEST } from "../../images/kinds/manifest.ts";
import { ImageWriter } from "../../images/mod.ts";
import { KernelMemory } from "../../core/linux/kernel_memory.ts";
import { checkpoint, openImages, restore } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { skip } from "../harness/skip.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf } from "../harness/unharmed.ts";
import {
  bringsBack,
  collectNotes,
  ImageHome,
  leavesAlone,
  notesOfSaving,
  problemsOf,
} from "./round_trip.ts";

Deno.test("inotify: it is what it was after a restore", (t) =>
  bringsBack(t, "inotify", { ignore: [/\/inotify wd$/] }));
Deno.test("inotify: a checkpoint that lets it run changes nothing", (t) =>
  leavesAlone(t, "inotify"));

/** A deleted file is made anew, and is another inode. */
const REMADE = [/\/fdinfo\/50\/fanotify ino$/];

Deno.test("fanotify: it is what it was after a restore", (t) =>
  bringsBack(t, "fanotify", { ignore: REMADE }));
Deno.test("fanotify: a checkpoint that lets it run changes nothing", (t) =>
  leavesAlone(t, "fanotify"));

/** Whether what directories are watched for can be told here: it takes the kernel's memory. */
const tellsOfDirectories = KernelMemory.readTypes() !== undefined;

Deno.test("dnotify: it is what it was after a restore", async (t) => {
  if (tellsOfDirectories) return await bringsBack(t, "dnotify");
  await using subject = await Subject.start("dnotify");
  if (subject.unsupported !== null) return skip(t, subject.unsupported);
  for (const { what } of await problemsOf(subject.pid)) {
    match(what, /its descriptor \d+ \(.*\) is a directory that .* \(F_NOTIFY\)/);
  }
  await subject.expectPass();
});
Deno.test("dnotify: a checkpoint that lets it run changes nothing", async (t) => {
  if (tellsOfDirectories) return await leavesAlone(t, "dnotify");
  skip(t, "the kernel's memory cannot be read here");
});

Deno.test("fanotify: a group that others ask for permission is refused", async () => {
  await using subject = await startWatcher(
    "python3",
    ["-c", ASKED],
    "touch asked",
    "fanotify",
  );
  const [problem, ...more] = await problemsOf(subject.pid);
  equal(more.length, 0);
  match(problem?.what ?? "", /its fanotify descriptor \d+ is asked for permission/);
});

Deno.test("fanotify: images that would have others ask for permission are refused", async () => {
  using images = new ImageHome();
  await using subject = await Subject.start("fanotify");
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  const hostile = `${images.directory}-hostile`;
  await using writer = ImageWriter.create(hostile);
  const saved = openImages(images.directory);
  for (const { name } of Deno.readDirSync(images.directory)) {
    if ([FILES.file, MANIFEST.file, INVENTORY.file].includes(name)) continue;
    Deno.copyFileSync(`${images.directory}/${name}`, `${writer.path}/${name}`);
  }
  const files = saved.readList(FILES, null);
  for (const { ffy } of files) for (const mark of ffy?.mark ?? []) mark.mask |= FAN_OPEN_PERM;
  writer.writeList(FILES, null, files);
  await writer.commit(saved.read(INVENTORY, null));
  const { problems } = await failureOf(restore(hostile));
  match(problems[0]?.what ?? "", /a mark of fanotify group \d+ is on files that others ask for/);
});

Deno.test("fanotify: a mark on a mount goes to none that is not there", async () => {
  using images = new ImageHome();
  await using subject = await startWatcher(
    "python3",
    ["-c", MARKED],
    "mkdir mount; mount -t tmpfs none mount",
    "fanotify",
  );
  const run = (command: string, ...args: string[]) =>
    new Deno.Command(command, { args, cwd: subject.cwd }).outputSync();
  try {
    await checkpoint(subject.pid, images);
    await subject.waitGone();
    run("umount", "mount");
    const { problems } = await failureOf(restore(images.directory));
    match(problems[0]?.what ?? "", /is on all of .*\/mount, where nothing is mounted/);
    run("mount", "-t", "tmpfs", "none", "mount");
    const tree = await restore(images.directory);
    await subject.kill();
    await tree.wait();
  } finally {
    run("umount", "mount");
  }
});

const FAN_OPEN_PERM = 0x10000;

/** Python that watches a mount. */
const MARKED = `
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.fanotify_init(0, 0)
FAN_MARK_ADD, FAN_MARK_MOUNT, FAN_MODIFY = 0x1, 0x10, 0x2
assert libc.fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, ctypes.c_uint64(FAN_MODIFY), -100, b"mount") == 0
time.sleep(1000)
`;

/** Python that lets others ask before they open a file, and answers nobody. */
const ASKED = `
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.fanotify_init(4, 0)
FAN_OPEN_PERM = 0x10000
assert libc.fanotify_mark(fd, 1, ctypes.c_uint64(FAN_OPEN_PERM), -100, b"asked") == 0
time.sleep(1000)
`;

/** Starts a program and waits until it has a watch and sleeps. */
async function startWatcher(
  command: string,
  args: readonly string[],
  prepare: string,
  kind: "inotify" | "fanotify" = "inotify",
) {
  const subject = await Subject.spawn("/bin/bash", {
    args: ["-c", `${prepare}; exec "$@"`, "bash", command, ...args],
  });
  try {
    const watches = () =>
      readFds(subject.pid).some((fd) => readFdInfo(subject.pid, fd)?.[kind] !== undefined);
    await waitUntil(watches, () => `${command} to watch: ${subject.errors()}`);
    return subject;
  } catch (error) {
    await subject[Symbol.asyncDispose]();
    throw error;
  }
}

Deno.test("tail -f goes on to tell what is appended", async () => {
  using images = new ImageHome();
  await using subject = await startWatcher("tail", ["-f", "log"], "echo none >log");
  await waitUntil(() => subject.output() === "none\n", "its first line");
  await checkpoint(subject.pid, { directory: `${images.directory}-running`, leaveRunning: true });
  Deno.removeSync(`${images.directory}-running`, { recursive: true });
  await Deno.writeTextFile(`${subject.cwd}/log`, "one\n", { append: true });
  await waitUntil(() => subject.output() === "none\none\n", () => subject.output());
  await checkpoint(subject.pid, images);
  // It is not told of what happens meanwhile, and finds it when it looks the next time.
  await Deno.writeTextFile(`${subject.cwd}/log`, "two\n", { append: true });
  await restore(images.directory, { options: { ignoreFileChange: true } });
  await Deno.writeTextFile(`${subject.cwd}/log`, "three\n", { append: true });
  await waitUntil(() => subject.output() === "none\none\ntwo\nthree\n", () => subject.output());
});

Deno.test("fs.watch of Node.js goes on to tell of changes", async () => {
  using images = new ImageHome();
  const script = `import { watch } from "node:fs";
    watch("dir", (event, name) => console.log(event, name));
    setInterval(() => {}, 1000);`;
  await using subject = await startWatcher(
    "node",
    ["--input-type=module", "-e", script],
    "mkdir dir",
  );
  for (const round of [1, 2, 3]) {
    const leaveRunning = round === 1;
    await checkpoint(subject.pid, { directory: `${images.directory}-${round}`, leaveRunning });
    if (!leaveRunning) await restore(`${images.directory}-${round}`);
    await Deno.writeTextFile(`${subject.cwd}/dir/file${round}`, "");
    await waitUntil(() => subject.output().includes(`rename file${round}`), subject.output());
    Deno.removeSync(`${images.directory}-${round}`, { recursive: true });
  }
});

/** Python that watches \`dir\` by number 9, does more, and sleeps. */
const python = (more: string) => `
import ctypes, os, time
libc = ctypes.CDLL(None)
fd = libc.inotify_init1(0)
os.mkdir("dir")
libc.inotify_add_watch(fd, b"dir", 0xfff)
${more}
time.sleep(1000)`;

Deno.test("a watch on what is mounted at another place goes on, whichever of the two is used", async (t) => {
  await using subject = await Subject.spawn("/bin/bash", {
    args: [
      "-c",
      "mkdir dir bound; until [ -e go ]; do sleep 0.05; done; exec inotifywait -qm bound",
    ],
  });
  const { cwd } = subject;
  await waitUntil(() => [...Deno.readDirSync(cwd)].length === 2, "its directories");
  const mount = (...args: string[]) =>
    new Deno.Command(args[0]!, { args: args.slice(1) }).outputSync().success;
  if (!mount("mount", "--bind", `${cwd}/dir`, `${cwd}/bound`)) return skip(t, "nothing is mounted");
  try {
    using images = new ImageHome();
    Deno.writeTextFileSync(`${cwd}/go`, "");
    const watches = () =>
      readFds(subject.pid).some((fd) => readFdInfo(subject.pid, fd)?.inotify?.length === 1);
    await waitUntil(watches, () => `inotifywait to watch: ${subject.errors()}`);
    await checkpoint(subject.pid, images);
    await subject.waitGone();
    const tree = await restore(images.directory);
    for (const place of ["dir", "bound"]) {
      Deno.writeTextFileSync(`${cwd}/${place}/by-${place}`, "");
      await waitUntil(
        () => subject.output().includes(`bound/ CREATE by-${place}\n`),
        () => `the event: ${subject.output()}`,
      );
    }
    tree.kill(15);
    await tree.wait();
  } finally {
    mount("umount", `${cwd}/bound`);
  }
});

Deno.test("events that wait are told of when they are lost, and are there still if it runs on", async () => {
  using images = new ImageHome();
  const script = python('open("dir/x", "w").close()');
  await using subject = await startWatcher("/usr/bin/python3", ["-c", script], "true");
  await waitUntil(() => [...Deno.readDirSync(`${subject.cwd}/dir`)].length === 1, "the events");
  const notes = await notesOfSaving(subject.pid, images.directory);
  equal(notes.length, 1);
  match(
    notes[0]!,
    /has not read \d+ bytes of events of its inotify descriptor \d+ yet, which a restored/,
  );
});

/** Python that watches what is done in \`dir\` by number 9, which something is, and sleeps. */
const NOTIFIED = `
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.fanotify_init(0, 0)
os.mkdir("dir")
FAN_MARK_ADD, FAN_MODIFY, FAN_EVENT_ON_CHILD = 0x1, 0x2, 0x8000000
assert libc.fanotify_mark(fd, FAN_MARK_ADD, ctypes.c_uint64(FAN_MODIFY | FAN_EVENT_ON_CHILD), -100, b"dir") == 0
with open("dir/x", "w") as file:
    file.write("x")
open("done", "w").close()
time.sleep(1000)
`;

Deno.test("fanotify: events that wait are told of when they are lost, and are there still if it runs on", async () => {
  using images = new ImageHome();
  await using subject = await startWatcher(
    "/usr/bin/python3",
    ["-c", NOTIFIED],
    "true",
    "fanotify",
  );
  await waitUntil(
    () => [...Deno.readDirSync(subject.cwd)].some(({ name }) => name === "done"),
    () => `its event: ${subject.errors()}`,
  );
  for (const round of [1, 2]) {
    const notes = await notesOfSaving(subject.pid, `${images.directory}-${round}`);
    match(
      notes.join("\n"),
      /has not read \d+ bytes of events of its fanotify descriptor \d+ yet, which a restored/,
    );
  }
});

/** Python that watches a mount, and keeps what comes with the events of three files open, by numbers 20 to 22, beside one of its own. */
const HOLDING = `
import ctypes, os, struct, time
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.fanotify_init(0, 0)
FAN_MARK_ADD, FAN_MARK_MOUNT, FAN_CLOSE_WRITE = 0x1, 0x10, 0x8
assert libc.fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, ctypes.c_uint64(FAN_CLOSE_WRITE), -100, b"mount") == 0
for number in 20, 21, 22:
    # The descriptor of an event is its sixth field.
    given = struct.unpack("IBBHQii", os.read(fd, 24))[5]
    os.dup2(given, number)
    os.close(given)
own = os.open("/proc/self/status", os.O_RDONLY)
open("done", "w").close()
time.sleep(1000)
`;

Deno.test("fanotify: files of events that others have changed or deleted since stand against no restore", async () => {
  using images = new ImageHome();
  await using subject = await startWatcher(
    "/usr/bin/python3",
    ["-c", HOLDING],
    "mkdir mount; mount -t tmpfs none mount; mkdir mount/dir",
    "fanotify",
  );
  const { pid, cwd } = subject;
  try {
    Deno.writeTextFileSync(`${cwd}/mount/grows`, "one");
    Deno.writeTextFileSync(`${cwd}/mount/dir/goes`, "text");
    Deno.writeTextFileSync(`${cwd}/mount/gone`, "saved");
    await waitUntil(
      () => [...Deno.readDirSync(cwd)].some(({ name }) => name === "done"),
      () => `its events: ${subject.errors()}`,
    );
    Deno.removeSync(`${cwd}/mount/gone`);
    await checkpoint(pid, images);
    await subject.waitGone();
    Deno.writeTextFileSync(`${cwd}/mount/grows`, " and two", { append: true });
    Deno.removeSync(`${cwd}/mount/dir`, { recursive: true });
    const notes: string[] = [];
    const tree = await restore(images.directory, { onEvent: collectNotes(notes) });
    equal(Deno.readTextFileSync(`/proc/${pid}/fd/20`), "one and two");
    equal(Deno.readTextFileSync(`/proc/${pid}/fd/21`), "");
    equal(Deno.readTextFileSync(`/proc/${pid}/fd/22`), "saved");
    equal(Deno.readLinkSync(`/proc/${pid}/fd/21`), `${cwd}/mount/dir/goes (deleted)`);
    equal([...Deno.readDirSync(`${cwd}/mount`)].map(({ name }) => name).join(), "grows");
    match(notes.join("\n"), /^\S+\/mount\/dir\/goes, which a task has by an event of fanotify,/m);
    tree.kill(9);
    await tree.wait();
  } finally {
    await subject.kill();
    new Deno.Command("umount", { args: ["mount"], cwd }).outputSync();
  }
});

Deno.test("a watch on a deleted file that is only mapped is refused, and the program does not notice", async () => {
  const script = python(`
file = os.open("file", os.O_CREAT | os.O_RDWR)
os.write(file, bytes(4096))
libc.mmap(None, ctypes.c_size_t(4096), 3, 1, file, ctypes.c_long(0))
libc.inotify_add_watch(fd, b"file", 2)
os.unlink("file")
os.close(file)
open("ready", "w").close()`);
  await using subject = await startWatcher("/usr/bin/python3", ["-c", script], "true");
  const names = () => [...Deno.readDirSync(subject.cwd)].map(({ name }) => name);
  await waitUntil(() => names().includes("ready"), "it to be ready");
  const problems = await problemsOf(subject.pid);
  equal(problems.length, 1);
  match(problems[0]?.what ?? "", /watches a file that no path leads to \(watch 2, inode \d+\)/);
});

Deno.test("a watch on a file with a path that is longer than any that can be opened is refused", async () => {
  const script = python(`
for _ in range(17): os.mkdir("d" * 250); os.chdir("d" * 250)
open("file", "w").close()
libc.inotify_add_watch(fd, b"file", 2)
os.chdir("/")
print("ready", flush=True)`);
  await using subject = await startWatcher("/usr/bin/python3", ["-c", script], "true");
  await waitUntil(() => subject.output().includes("ready"), () => subject.errors());
  const problems = await problemsOf(subject.pid);
  equal(problems.length, 1);
  match(problems[0]?.what ?? "", /watches a file that no path leads to \(watch 2, inode \d+\)/);
});

Deno.test("two watches whose paths lead to one file by now are a problem before anything is built", async () => {
  using images = new ImageHome();
  const script = python(`
for name in ("a", "b"): open(name, "w").close(); libc.inotify_add_watch(fd, name.encode(), 2)
print("ready", flush=True)`);
  await using subject = await startWatcher("/usr/bin/python3", ["-c", script], "true");
  await waitUntil(() => subject.output().includes("ready"), () => subject.errors());
  await checkpoint(subject.pid, images);
  Deno.removeSync(`${subject.cwd}/b`);
  Deno.linkSync(`${subject.cwd}/a`, `${subject.cwd}/b`);
  const { problems } = await failureOf(restore(images.directory));
  match(
    problems[0]?.what ?? "",
    /\/[ab] is the file of two inotify watches by now, [23] and [23]:/,
  );
});

Deno.test("a watch on a directory in which a socket gets its name is told of it, with a word", async () => {
  using images = new ImageHome();
  const script = python(`
import socket
s = socket.socket(socket.AF_UNIX)
s.bind("dir/socket")
os.set_blocking(fd, False)
os.read(fd, 4096)
print("ready", flush=True)`);
  await using subject = await startWatcher("/usr/bin/python3", ["-c", script], "true");
  await waitUntil(() => subject.output().includes("ready"), () => subject.errors());
  await checkpoint(subject.pid, images);
  const notes: string[] = [];
  const onEvent = collectNotes(notes);
  await restore(images.directory, { onEvent });
  match(notes.join("; "), /watch 1 of inotify instance \d+ is told that a socket gets its name in/);
});

/** Waits until a user may have so many more instances: the kernel counts one that is closed a little longer. */
async function waitForRoom(uid: number, wanted: number): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    if (await roomOf(uid) === wanted) return;
  }
  equal(await roomOf(uid), wanted);
}

/** How many more instances a user may have. */
async function roomOf(uid: number): Promise<number> {
  const script = `import ctypes
made = 0
while ctypes.CDLL(None).inotify_init1(0) >= 0: made += 1
print(made)`;
  const python = new Deno.Command("/usr/bin/python3", { args: ["-c", script], uid, cwd: "/" });
  return Number(new TextDecoder().decode((await python.output()).stdout));
}

Deno.test("an inotify instance counts against the limit of another user, whose it is", async (t) => {
  // Of this run alone: each look takes all that there are.
  const uid = 20000 + Deno.pid % 40000;
  const most = await roomOf(uid);
  const limit = Number(Deno.readTextFileSync("/proc/sys/fs/inotify/max_user_instances"));
  if (most !== limit) return skip(t, `a process has not room for ${limit} instances`);
  using images = new ImageHome();
  await using subject = await startWatcher(
    "/usr/bin/python3",
    ["-c", `import os; os.setresuid(${uid}, ${uid}, ${uid})\n${python("")}`],
    "chmod 777 .",
  );
  await waitForRoom(uid, most - 1);
  await checkpoint(subject.pid, images);
  await restore(images.directory);
  await waitForRoom(uid, most - 1);
});
