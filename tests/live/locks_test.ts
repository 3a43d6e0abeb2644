/** Locks of files and leases: of whomever in the tree, inherited, waited for, and taken by somebody else meanwhile. */

import { deepEqual, equal, match } from "@std/assert";
import { EXIT_STATUS } from "../../base/errors.ts";
import { readLongLink } from "../../core/linux/long_link.ts";
import { readFdInfo } from "../../core/linux/procfs/mod.ts";
import { FILE_LOCKS } from "../../images/kinds/files.ts";
import { checkpoint, openImages, planRestore, restore } from "../../mod.ts";
import { readProcess, waitUntil } from "../harness/processes.ts";
import { stasis } from "../harness/stasis_command.ts";
import { Subject } from "../harness/subject.ts";
import { failureOf } from "../harness/unharmed.ts";
import { variantName, VARIANTS } from "../harness/variants.ts";
import {
  becomesSleep,
  bringsBack,
  ImageHome,
  leavesAlone,
  notesOfSaving,
  problemsOf,
  startSleeper,
} from "./round_trip.ts";

for (const name of ["locks", "leases"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: they are what they were after a restore`, (t) =>
      bringsBack(t, name, { args }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args }));
  }
}

/** Python that opens `path` as 9, does something to it, and becomes `sleep`; it fails where that fails. */
function python(does: string, path = "locked"): string {
  return `exec python3 -c '
import fcntl, mmap, os, struct
fd = os.open("${path}", os.O_CREAT | os.O_RDWR, 0o600)
os.dup2(fd, 9); os.close(fd)
${does}
os.execv("/bin/sleep", ["sleep", "1000"])'`;
}

/** Starts a sleeper in the same directory. */
async function startBeside(subject: Subject, setUp: string): Promise<Subject> {
  const other = await Subject.spawn("/bin/bash", { args: ["-c", setUp], cwd: subject.cwd });
  try {
    await becomesSleep(other.pid);
    return other;
  } catch (error) {
    await other[Symbol.asyncDispose]();
    throw error;
  }
}

const lockf = (command: string, type: string, start = 0, length = 0) =>
  `fcntl.fcntl(9, ${command}, struct.pack("hhqqi", fcntl.${type}, 0, ${start}, ${length}, 0))`;

/** How a tree takes a lock, how a stranger takes one that excludes it, and what is said of it. */
const TAKEN: Readonly<Record<string, readonly [own: string, other: string, says: RegExp]>> = {
  "flock(2)": [
    "fcntl.flock(9, fcntl.LOCK_SH)",
    "fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)",
    /cannot have its read lock \(flock\) on \S+\/locked again: task (\d+) \(sleep\) has one/,
  ],
  "a process": [
    lockf("fcntl.F_SETLK", "F_WRLCK", 10, 5),
    lockf("fcntl.F_SETLK", "F_RDLCK", 14, 1),
    /its write lock \(F_SETLK\) on bytes 10 to 14 on \S+ again: task (\d+) \(sleep\) has one/,
  ],
  "an open file": [
    lockf("37", "F_WRLCK", 10),
    lockf("37", "F_WRLCK", 100, 1),
    /its write lock \(F_OFD_SETLK\) on bytes 10 to the end on \S+ again: task (\d+) \(sleep\) has one/,
  ],
};

for (const [what, [own, other, says]] of Object.entries(TAKEN)) {
  Deno.test(`the lock of ${what} that somebody has taken meanwhile is a conflict that names him`, async () => {
    using images = new ImageHome();
    await using subject = await startSleeper(python(own));
    await checkpoint(subject.pid, images);
    await subject.waitGone();
    const plan = await planRestore(images.directory);
    {
      await using holder = await startBeside(subject, python(other));
      // Before anything is built, and where it was taken after that.
      const { status, stderr } = await stasis([
        "restore",
        "--file-locks",
        "--dry-run",
        images.directory,
      ]);
      equal(status, EXIT_STATUS.conflict, stderr);
      equal(Number(says.exec(stderr)?.[1]), holder.pid, stderr);
      const late = await failureOf(restore(plan));
      equal(late.code, "conflict");
      equal(Number(says.exec(late.message)?.[1]), holder.pid, late.message);
      equal(readProcess(subject.pid), null);
    }
    await restore(images.directory);
    await using rival = await Subject.spawn("/bin/bash", {
      args: ["-c", python(other)],
      cwd: subject.cwd,
    });
    await waitUntil(() => !rival.alive, "another one to be refused the lock");
  });
}

Deno.test("a lease on a file that somebody has open by then is a conflict that names him", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    python("fcntl.fcntl(9, fcntl.F_SETLEASE, fcntl.F_WRLCK)"),
  );
  await checkpoint(subject.pid, images);
  await subject.waitGone();
  {
    await using holder = await startBeside(subject, "exec 5<locked; exec sleep 1000");
    const error = await failureOf(restore(images.directory));
    equal(error.code, "conflict", error.message);
    match(
      error.message,
      new RegExp(
        `write lease \\(F_SETLEASE\\) on .* again: task ${holder.pid} \\(sleep\\) uses the file`,
      ),
    );
    equal(readProcess(subject.pid), null);
  }
  await restore(images.directory);
  match(Deno.readTextFileSync(`/proc/${subject.pid}/fdinfo/9`), /LEASE +ACTIVE +WRITE/);
});

Deno.test("locks of strangers on the same file matter to nobody", async () => {
  using images = new ImageHome();
  await using subject = await startSleeper(
    python(`fcntl.flock(9, fcntl.LOCK_SH); ${lockf("fcntl.F_SETLK", "F_WRLCK", 0, 10)}`),
  );
  await using stranger = await startBeside(
    subject,
    python(`fcntl.flock(9, fcntl.LOCK_SH); ${lockf("fcntl.F_SETLK", "F_WRLCK", 10, 10)}`),
  );
  const locksOf = (pid: number) =>
    Deno.readTextFileSync(`/proc/${pid}/fdinfo/9`).split("\n").filter((line) =>
      line.startsWith("lock:")
    );
  const before = [locksOf(subject.pid), locksOf(stranger.pid)];
  equal(before[0]!.length, 2);
  await checkpoint(subject.pid, images);
  await restore(images.directory);
  deepEqual([locksOf(subject.pid), locksOf(stranger.pid)], before);
  equal(openImages(images.directory).readList(FILE_LOCKS, null).length, 2);
});

Deno.test("flock(1) comes back with its command, and the lock is theirs", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/flock", {
    args: ["locked", "sleep", "1000"],
  });
  const free = () =>
    new Deno.Command("flock", { args: ["-n", "locked", "true"], cwd: subject.cwd }).outputSync()
      .success;
  await waitUntil(() => subject.pids().length === 2 && !free(), "the lock to be taken");
  await checkpoint(subject.pid, images);
  equal(free(), true);
  await restore(images.directory);
  equal(free(), false);
  await subject.kill();
  equal(free(), true);
});

Deno.test("a lock that a process outside of the tree has inherited keeps the tree from being ended", async () => {
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/flock", {
    args: ["locked", "sleep", "1000"],
  });
  await waitUntil(() => subject.pids().length === 2, "the command to run");
  const child = subject.pids().at(-1)!;
  await becomesSleep(child);
  const problems = await problemsOf(child);
  equal(problems.length, 1);
  match(
    problems[0]?.what ?? "",
    new RegExp(`has a write lock \\(flock\\) that task ${subject.pid} outside of the tree has as`),
  );
  await checkpoint(child, { directory: images.directory, leaveRunning: true });
});

Deno.test("a lock that only a mapping holds is lost with a word", async () => {
  // As a Java virtual machine has one on the file of its performance data.
  const script = `
import ctypes, fcntl, os, time
fd = os.open("locked", os.O_CREAT | os.O_RDWR, 0o600)
os.ftruncate(fd, 4096)
libc = ctypes.CDLL(None)
libc.mmap(None, ctypes.c_size_t(4096), 3, 1, fd, ctypes.c_long(0))
fcntl.flock(fd, fcntl.LOCK_EX)
os.close(fd)
print("ready", flush=True)
time.sleep(1000)`;
  using images = new ImageHome();
  await using subject = await Subject.spawn("/usr/bin/python3", { args: ["-c", script] });
  await subject.waitReady();
  const notes = await notesOfSaving(subject.pid, images.directory);
  equal(notes.length, 1);
  match(notes[0] ?? "", /has a lock \(flock\) on a file that it has mapped \(inode \d+\)/);
});

Deno.test("a tree that runs on may have ended children that had its lock, too", async () => {
  using images = new ImageHome();
  // Each child has the lock by inheritance, and is gone when the images are read back.
  const script = '$^F = 9; $| = 1; open F, ">locked"; flock F, 2; print "ready\n"; ' +
    'system "sleep", "0.01" while 1';
  await using subject = await Subject.spawn("perl", { args: ["-e", script] });
  await subject.waitReady();
  for (let round = 0; round < 4; round++) {
    const directory = `${images.directory}-${round}`;
    await checkpoint(subject.pid, { directory, leaveRunning: true });
    equal(openImages(directory).readList(FILE_LOCKS, null).length, 1);
  }
});

Deno.test("a lease on a file whose path is longer than the kernel tells is not taken back", async () => {
  await using subject = await startSleeper(python(`
for _ in range(17): os.mkdir("d" * 250); os.chdir("d" * 250)
os.dup2(os.open("f", os.O_CREAT | os.O_RDWR), 5)
os.dup2(os.open("g", os.O_CREAT | os.O_WRONLY), 6)
for fd in (5, 6): fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
os.chdir("/")`));
  match(readLongLink(`/proc/${subject.pid}/fd/5`) ?? "", /^.{4096,}\/f$/);
  // It cannot be found without opening it.
  equal(readLongLink(`/proc/${subject.pid}/fd/6`), undefined);
  for (const fd of [5, 6]) {
    deepEqual(readFdInfo(subject.pid, fd)?.locks.map(({ kind }) => kind), ["ACTIVE"]);
  }
});

const REFUSED: readonly [name: string, setUp: string, says: RegExp][] = [
  [
    "a lease on a deleted file",
    python(
      'fcntl.fcntl(9, fcntl.F_SETLEASE, fcntl.F_WRLCK); os.unlink("locked"); open("ready", "w")\nimport time; time.sleep(1000)',
    ),
    /descriptor 9 .* has a write lease \(F_SETLEASE\), and the file was deleted/,
  ],
  [
    "a lease for writing on a file that is mapped",
    python(
      `import ctypes, time
os.ftruncate(9, 4096)
ctypes.CDLL(None).mmap(None, ctypes.c_size_t(4096), 3, 1, 9, ctypes.c_long(0))
fcntl.fcntl(9, fcntl.F_SETLEASE, fcntl.F_WRLCK); open("ready", "w")
time.sleep(1000)`,
    ),
    /descriptor 9 .* has a write lease \(F_SETLEASE\), and the file is mapped/,
  ],
];

for (const [name, setUp, says] of REFUSED) {
  Deno.test(`${name} is refused, and the program does not notice`, async () => {
    await using subject = await Subject.spawn("/bin/bash", { args: ["-c", setUp] });
    await waitUntil(
      () => [...Deno.readDirSync(subject.cwd)].some(({ name }) => name === "ready"),
      () => `it to be ready: ${subject.errors()}`,
    );
    const problems = await problemsOf(subject.pid);
    equal(problems.length, 1);
    match(problems[0]?.what ?? "", says);
  });
}
