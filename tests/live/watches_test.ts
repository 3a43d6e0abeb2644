/** Watches of files and directories: what they are, and what programs that depend on them see afterwards. */

import { equal, match } from "@std/assert";
import { readFdInfo, readFds } from "../../core/linux/procfs/mod.ts";
import { checkpoint, restore, type StasisEvent } from "../../mod.ts";
import { waitUntil } from "../harness/processes.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf } from "./round_trip.ts";

Deno.test("inotify: it is what it was after a restore", (t) =>
  bringsBack(t, "inotify", { ignore: [/\/inotify wd$/] }));
Deno.test("inotify: a checkpoint that lets it run changes nothing", (t) =>
  leavesAlone(t, "inotify"));

/** Starts a program and waits until it has a watch and sleeps. */
async function startWatcher(command: string, args: readonly string[], prepare: string) {
  const subject = await Subject.spawn("/bin/bash", {
    args: ["-c", `${prepare}; exec "$@"`, "bash", command, ...args],
  });
  try {
    const watches = () =>
      readFds(subject.pid).some((fd) => readFdInfo(subject.pid, fd)?.inotify !== undefined);
    await waitUntil(watches, () => `${command} to watch: ${subject.errors()}`);
    return subject;
  } catch (error) {
    await subject[Symbol.asyncDispose]();
    throw error;
  }
}

Deno.test("tail -f goes on to tell what is appended", async () => {
  using images = new ImageHome();
  await using subject = await startWatcher("tail", ["-f", "log"], "echo one >log");
  await waitUntil(() => subject.output() === "one\n", "its first line");
  await checkpoint(subject.pid, images);
  // It is not told of what happens meanwhile, and finds it when it looks the next time.
  await Deno.writeTextFile(`${subject.cwd}/log`, "two\n", { append: true });
  await restore(images.directory, { options: { ignoreFileChange: true } });
  await Deno.writeTextFile(`${subject.cwd}/log`, "three\n", { append: true });
  await waitUntil(() => subject.output() === "one\ntwo\nthree\n", () => subject.output());
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
  for (const round of [1, 2]) {
    await checkpoint(subject.pid, { directory: `${images.directory}-${round}` });
    await restore(`${images.directory}-${round}`);
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

Deno.test("events that wait are told of when they are lost, and are there still if it runs on", async () => {
  using images = new ImageHome();
  const script = python('open("dir/x", "w").close()');
  await using subject = await startWatcher("/usr/bin/python3", ["-c", script], "true");
  await waitUntil(() => [...Deno.readDirSync(`${subject.cwd}/dir`)].length === 1, "the events");
  const notes: string[] = [];
  const onEvent = (event: StasisEvent) => void (event.kind === "note" && notes.push(event.text));
  await checkpoint(subject.pid, { directory: images.directory, leaveRunning: true, onEvent });
  equal(notes.length, 1);
  match(
    notes[0]!,
    /has not read \d+ bytes of events of its inotify descriptor \d+ yet, which a restored/,
  );
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
