import { deepEqual, equal, match, rejects } from "@std/assert";
import { KCMP, kcmp } from "../../core/linux/kcmp.ts";
import { readLimits } from "../../core/linux/procfs/mod.ts";
import { checkpoint, EXIT_STATUS, planRestore, restore, type StasisError } from "../../mod.ts";
import { processTree, readProcess, waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { bringsBack, ImageHome, leavesAlone, problemsOf, startSleeper } from "./round_trip.ts";

for (
  const name of ["files_regular", "files_shared_between", "paths", "paths_long", "tables_shared"]
) {
  Deno.test(`${name}: it is what it was after a restore`, (t) => bringsBack(t, name));
  Deno.test(`${name}: a checkpoint that lets it run changes nothing`, (t) => leavesAlone(t, name));
}

// The numbers by which an epoll instance knows its members become those that they have now, as in CRIU.
const CORNERS = { ignore: [/\/fdinfo\/\d+\/tfd$/] };
Deno.test("files_corners: it is what it was after a restore", (t) =>
  bringsBack(t, "files_corners", CORNERS));
Deno.test("files_corners: a checkpoint that lets it run changes nothing", (t) =>
  leavesAlone(t, "files_corners"));

/** Set-ups of a shell that cannot be saved, and what is said of descriptor 5. */
const REFUSED: readonly [name: string, setUp: string, what: RegExp][] = [
  [
    "a deleted file that is larger than the limit",
    "exec 5>gone; rm gone; head -c 1100000 /dev/zero >&5",
    /descriptor 5 is a deleted file, \S+\/gone, of 1\d{6} bytes, more than the limit of 1048576/,
  ],
  [
    "a deleted name of a file with another one that no directory shows",
    "mkdir m; mount -t tmpfs none m; exec 5>m/one; ln m/one m/two; rm m/one; umount -l m",
    /descriptor 5 is a file whose name \/one was deleted while it has other names elsewhere, and none/,
  ],
  [
    "a directory of the threads of a task that has ended",
    "sleep 100 & exec 5</proc/$!/task/$!; kill $!; wait",
    /descriptor 5 is a deleted file, \/proc\/\d+\/task\/\d+, which was of a task or a thread that has ended/,
  ],
  [
    "a deleted file with extended attributes",
    `exec 5>f; python3 -c 'import os; os.setxattr("f", "user.a", b"1")'; rm f`,
    /descriptor 5 is a deleted file, \S+\/f, with extended attributes, .*: user\.a$/,
  ],
  [
    "a deleted file of a file system that was unmounted",
    "mkdir m; mount -t tmpfs none m; exec 5>m/f; rm m/f; umount -l m",
    /descriptor 5 is a deleted file, \/f, of a file system that is not there any more/,
  ],
  [
    "a deleted file whose path is longer than the kernel tells",
    `exec python3 -c 'import os
for _ in range(17): os.mkdir("d" * 250); os.chdir("d" * 250)
os.dup2(os.open("f", os.O_CREAT), 5)
os.unlink("f")
os.chdir("/")
os.execv("/bin/sleep", ["sleep", "1000"])'`,
    /descriptor 5 \(a path of more than 4095 bytes, which the kernel does not tell\)/,
  ],
  [
    "a fifo whose path is longer than the kernel tells",
    `exec python3 -c 'import os
for _ in range(17): os.mkdir("d" * 250); os.chdir("d" * 250)
os.mkfifo("f")
os.dup2(os.open("f", os.O_RDWR), 5)
os.chdir("/")
os.execv("/bin/sleep", ["sleep", "1000"])'`,
    /descriptor 5 \(a path of more than 4095 bytes, which the kernel does not tell\)/,
  ],
  [
    "a socket whose path is longer than the kernel tells",
    `exec python3 -c 'import os, socket
for _ in range(17): os.mkdir("d" * 250); os.chdir("d" * 250)
s = socket.socket(socket.AF_UNIX)
s.bind("s")
os.dup2(s.fileno(), 5)
os.chdir("/")
os.execv("/bin/sleep", ["sleep", "1000"])'`,
    /has the name s, which lies deeper than the 4095 bytes of path that the kernel tells/,
  ],
  [
    "a deleted directory whose path is longer than the kernel tells",
    `exec python3 -c 'import os
for _ in range(17): os.mkdir("d" * 250); os.chdir("d" * 250)
os.rmdir("../" + "d" * 250)
os.execv("/bin/sleep", ["sleep", "1000"])'`,
    /its working directory has a path of more than 4095 bytes, which cannot be found/,
  ],
  [
    "a file of one descriptor of another task",
    "sleep 100 & exec 5</proc/$!/fdinfo/0",
    /descriptor 5 is a file of one descriptor or mapping, \/proc\/\d+\/fdinfo\/0, which cannot be/,
  ],
];

for (const [name, setUp, what] of REFUSED) {
  Deno.test(`${name} is refused, and the program does not notice`, async () => {
    await using subject = await startSleeper(setUp);
    const problems = await problemsOf(subject.pid);
    equal(problems.length, 1);
    match(problems[0]?.what ?? "", what);
  });
}

/** Python with a file of its second thread open by number 5, from the directory that this has beside those of processes. */
const HOLDS_THREAD = `import os, threading, time
def hold():
    fd = os.open(f"/proc/{threading.get_native_id()}/stat", os.O_RDONLY)
    os.dup2(fd, 5)
    os.close(fd)
    print("ready", flush=True)
    time.sleep(1000)
threading.Thread(target=hold).start()`;

Deno.test("a file of one thread is refused, by whatever name, and the program does not notice", async () => {
  await using subject = await Subject.spawn("/usr/bin/python3", { args: ["-c", HOLDS_THREAD] });
  await waitUntil(() => subject.output().includes("ready"), () => subject.errors());
  const problems = await problemsOf(subject.pid);
  equal(problems.length, 1);
  match(problems[0]?.what ?? "", /its descriptor 5 is a file of one thread, \/proc\/\d+\/stat/);
});

Deno.test("files of /proc that tell of a task's own descriptors tell of the same after a restore", async () => {
  using images = new ImageHome();
  // One of a number that is opened before, and one behind.
  await using subject = await startSleeper(
    "echo text >f; exec 4<f 5</proc/self/fdinfo/4 9>f; exec 6</proc/self/fdinfo/9; read -u 5; cat <&6",
  );
  const links = () => [5, 6].map((fd) => Deno.readLinkSync(`/proc/${subject.pid}/fd/${fd}`));
  const before = links();
  await checkpoint(subject.pid, images);
  const tree = await restore(images.directory);
  deepEqual(links(), before);
  for (const [fd, of] of [[5, 4], [6, 9]]) {
    const told = Deno.readTextFileSync(`/proc/${subject.pid}/fd/${fd}`);
    equal(told, Deno.readTextFileSync(`/proc/${subject.pid}/fdinfo/${of}`));
  }
  tree.kill(9);
  await tree.wait();
});

/** What the descriptors of a tree lead to, by pid and number. */
function descriptorsOf(root: number): string[] {
  return processTree(root).flatMap((pid) =>
    [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) =>
      `${pid} ${name} ${Deno.readLinkSync(`/proc/${pid}/fd/${name}`)}`
    )
  ).sort();
}

const LIMIT_HINT = /raise the hard limit of open files/;

Deno.test("a descriptor of the highest number that there can be comes back, shared as it was", async () => {
  using images = new ImageHome();
  const { hard } = readLimits(Deno.pid).find(({ name }) => name === "RLIMIT_NOFILE")!;
  const last = hard - 1n;
  const setUp = `ulimit -n ${hard}; exec ${last}>f 700>&${last}; sleep 1000 & exec 600>g 500>&600`;
  await using subject = await startSleeper(setUp);
  // Until it is another program, the child has descriptors of its shell's.
  const sleeping = (pid: number) => readProcess(pid)?.comm === "sleep";
  await waitUntil(() => {
    const tree = processTree(subject.pid);
    return tree.length === 2 && tree.every(sleeping);
  }, "both to sleep");
  const before = descriptorsOf(subject.pid);
  equal(before.filter((line) => line.includes(` ${last} `)).length, 2);
  await checkpoint(subject.pid, images);
  await restore(images.directory);
  deepEqual(descriptorsOf(subject.pid), before);
  const shared = (a: bigint, b: bigint) =>
    kcmp(subject.pid, subject.pid, KCMP.FILE, Number(a), Number(b)) === 0;
  equal(shared(last, 700n), true);
  equal(shared(600n, 500n), true);
  equal(shared(last, 600n), false);

  // Where fewer may be open it cannot come back, which is said before anything is built.
  await checkpoint(subject.pid, { ...images, directory: `${images.directory}-2` });
  const fewer = await stasis(["restore", `${images.directory}-2`], { descriptors: 650 });
  equal(fewer.status, EXIT_STATUS.conflict, fewer.stderr);
  match(fewer.stderr, new RegExp(`has descriptor ${last}, and 650 may be open here`));
  match(fewer.stderr, LIMIT_HINT);
});

Deno.test("a tree whose descriptors leave no numbers free to build it is refused before it is built", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper("exec 200>f");
  await checkpoint(subject.pid, images);
  const { status, stderr } = await stasis(["restore", images.directory], { descriptors: 250 });
  equal(status, EXIT_STATUS.conflict, stderr);
  match(stderr, /leave too few numbers free to build it: 250 may be open here/);
  match(stderr, LIMIT_HINT);
  equal(readProcess(subject.pid), null);
});

Deno.test("files of /proc, and a file really called x (deleted), come back", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    'exec 5</proc/self/stat 6</proc/$$ 7</proc/1/status; echo real >"x (deleted)"; exec 8<"x (deleted)"',
  );
  const links = () => [5, 6, 7, 8].map((fd) => Deno.readLinkSync(`/proc/${subject.pid}/fd/${fd}`));
  const before = links();
  await checkpoint(subject.pid, images);
  const tree = await restore(images.directory);
  deepEqual(links(), before);
  tree.kill(9);
  await tree.wait();
});

Deno.test("files that changed, vanished or became others are refused all at once, and nothing is built", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    "echo 1 >size; echo 2 >gone; echo 3 >type; exec 5<size 6<gone 7<type 8>>log",
  );
  await checkpoint(subject.pid, images);
  const path = (name: string) => `${subject.cwd}/${name}`;
  for (const name of ["size", "log"]) await Deno.writeTextFile(path(name), "x", { append: true });
  await Deno.remove(path("gone"));
  await Deno.remove(path("type"));
  await Deno.mkdir(path("type"));
  await rejects(() => restore(images.directory), (error: unknown) => {
    deepEqual(
      (error as StasisError).problems.map(({ what }) => what.replaceAll(`${subject.cwd}/`, "")),
      [
        "the file size has 3 bytes now and had 2 at the checkpoint",
        "the file gone does not exist",
        "type was a regular file and is a directory now",
      ],
    );
    return true;
  });
  equal(subject.alive, false);

  await Deno.writeTextFile(path("elsewhere"), "2\n");
  await Deno.remove(path("type"));
  await Deno.writeTextFile(path("type"), "3\n");
  const options = { ignoreFileChange: true, remap: { [path("gone")]: path("elsewhere") } };
  await planRestore(images.directory, { options });
  const tree = await restore(images.directory, { options });
  equal(Deno.readLinkSync(`/proc/${subject.pid}/fd/6`), path("elsewhere"));
  tree.kill(9);
  await tree.wait();
});

Deno.test("what was written on other file systems is on the disk when the images are, where files are to be cut back", async () => {
  using images = new ImageHome();
  const elsewhere = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "stasis-" });
  try {
    const script = 'exec 5>>"$0/log"; echo line >&5; echo ready; exec sleep 1000';
    await using subject = await Subject.spawn("bash", { args: ["-c", script, elsewhere] });
    await subject.waitReady();
    for (const cut of [true, false]) {
      const { directory } = images;
      const trace = `${elsewhere}/trace`;
      const outcome = await stasis([
        ...["checkpoint", `${subject.pid}`, "-R", "-D", directory],
        ...cut ? ["--rollback-files"] : [],
      ], { through: ["strace", "-qq", "-y", "-o", trace, "-e", "trace=syncfs"] });
      equal(outcome.status, 0, outcome.stderr);
      equal(Deno.readTextFileSync(trace).includes(`<${elsewhere}>`), cut);
      Deno.removeSync(directory, { recursive: true });
    }
  } finally {
    Deno.removeSync(elsewhere, { recursive: true });
  }
});
