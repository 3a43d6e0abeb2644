/**
 * Every reader on processes of this test's own: that the running kernel's files have the shape that the
 * parsers were written for, and what readers say of tasks that are gone or have no memory.
 *
 * @module
 */

import assert from "@std/assert";
import * as procfs from "./mod.ts";
import { taskError } from "./read.ts";

const pid = Deno.pid;
/** Above what any kernel gives out (PID_MAX_LIMIT is 4194304). */
const NOBODY = 4194305;

const READERS: Readonly<Record<string, (pid: number) => unknown>> = {
  auxv: procfs.readAuxv,
  cgroup: procfs.readCgroup,
  children: procfs.readChildren,
  cmdline: procfs.readCmdline,
  comm: procfs.readComm,
  coredumpFilter: procfs.readCoredumpFilter,
  environ: procfs.readEnviron,
  fdinfo: (pid) => procfs.readFdInfo(pid, 0),
  fdLink: (pid) => procfs.readFdLink(pid, 0),
  fds: procfs.readFds,
  limits: procfs.readLimits,
  loginuid: procfs.readLoginuid,
  maps: procfs.readMaps,
  mountinfo: procfs.readMountinfo,
  namespaces: procfs.readNamespaces,
  oomScoreAdj: procfs.readOomScoreAdj,
  personality: procfs.readPersonality,
  smaps: procfs.readSmaps,
  stat: procfs.readStat,
  status: procfs.readStatus,
  statFd: (pid) => procfs.statFd(pid, 0),
  syscall: procfs.readSyscall,
  tasks: procfs.readTasks,
  timers: procfs.readTimers,
  timerSlack: procfs.readTimerSlack,
};

Deno.test("readers understand this process, and agree with each other", () => {
  for (const read of Object.values(READERS)) read(pid);

  const status = procfs.readStatus(pid);
  const stat = procfs.readStat(pid);
  assert.equal(status.pid, pid);
  assert.equal(stat.pid, pid);
  assert.equal(status.ppid, Deno.ppid);
  assert.equal(stat.ppid, Deno.ppid);
  assert.equal(status.name, stat.comm);
  assert.equal(procfs.readComm(pid), stat.comm);
  assert.equal(status.uids[0], Deno.uid());
  assert.ok(procfs.readTasks(pid).includes(pid));
  assert.equal(procfs.readStatus(pid, pid).tgid, pid);

  const auxv = new Map(procfs.readAuxv(pid));
  assert.equal(auxv.get(BigInt(procfs.AuxType.AT_PAGESZ)), 4096n);
  const vdso = procfs.readMaps(pid).find((mapping) => mapping.name === "[vdso]");
  assert.equal(vdso?.start, auxv.get(BigInt(procfs.AuxType.AT_SYSINFO_EHDR)));
  const stack = procfs.readSmaps(pid).find((vma) => procfs.mappingKind(vma) === "stack")!;
  assert.ok(stack.flags.has("gd") && stack.rss > 0);
  assert.ok(stack.start <= stat.startStack && stat.startStack < stack.end);

  assert.ok(procfs.readEnviron(pid).every((entry) => entry.includes("=")));
  assert.ok(procfs.readMountinfo(pid).some((mount) => mount.mountPoint === "/proc"));
  assert.equal(typeof procfs.readNamespaces(pid).mnt, "bigint");
  assert.equal(procfs.readLimits(pid).length, 16);
  const current = procfs.readSyscall(pid);
  assert.ok(current === undefined || current.args.length % 6 === 0);
});

Deno.test("readers understand the kernel's settings and locks", () => {
  assert.equal(procfs.readKernelRelease().text, Deno.osRelease());
  assert.ok(procfs.kernelAtLeast(procfs.readKernelRelease(), 5, 11));
  assert.ok(procfs.readPidMax() > pid);
  assert.ok(procfs.readLastCapability() >= 40);
  assert.ok([undefined, 0, 1, 2, 3].includes(procfs.readPtraceScope()));
  assert.equal(procfs.readKernelSetting("no_such_setting"), undefined);
});

Deno.test("readFdInfo(), readFdLink() and statFd() see an open file, its lock and none that is closed", () => {
  const path = Deno.makeTempFileSync({ suffix: " (deleted)" });
  const file = Deno.openSync(path, { read: true, write: true });
  try {
    file.seekSync(42, Deno.SeekMode.Start);
    file.lockSync(true);
    const fd = procfs.readFds(pid).find((fd) => procfs.readFdLink(pid, fd)?.text === path)!;
    const info = procfs.readFdInfo(pid, fd)!;
    assert.equal(info.pos, 42n);
    assert.equal(info.flags & 3, 2);
    assert.equal(info.locks[0]?.type, "FLOCK");
    assert.ok(procfs.readLocks().some((lock) => lock.inode === info.ino));
    // A file's own name may end as that of a deleted one: only the count of links tells.
    const link = procfs.readFdLink(pid, fd)!;
    assert.equal(link.text, path);
    assert.equal(link.deleted, true);
    const identity = procfs.statFd(pid, fd)!;
    assert.equal(identity.links, 1);
    assert.equal(BigInt(identity.ino), info.ino);
    Deno.removeSync(path);
    assert.equal(procfs.readFdLink(pid, fd)!.text, `${path} (deleted)`);
    assert.equal(procfs.statFd(pid, fd)!.links, 0);
  } finally {
    file.close();
  }
  // Its number may be that of another file by now: tests of other files run in this process, too.
  const closed = 1 << 30;
  assert.equal(procfs.readFdInfo(pid, closed), undefined);
  assert.equal(procfs.readFdLink(pid, closed), undefined);
  assert.equal(procfs.statFd(pid, closed), undefined);
});

Deno.test("every reader says that a task is gone", () => {
  for (const [name, read] of Object.entries(READERS)) {
    const gone = { code: "no-such-task", pid: NOBODY, message: `there is no process ${NOBODY}` };
    assert.throws(() => read(NOBODY), gone, name);
  }
  assert.throws(() => procfs.readStat(pid, NOBODY), /no thread 4194305 of/);
});

Deno.test("a zombie is a child with a state and without anything else", async () => {
  // sh becomes sleep, which never waits for the child that sh had made.
  const command = new Deno.Command("sh", { args: ["-c", "sleep 0 & exec sleep 60"] });
  await using parent = command.spawn();
  const zombie = await until(() => procfs.readChildren(parent.pid).find(isZombie));
  // Where others go first, the child may have ended before sh became sleep.
  const words = await until(() => {
    const found = procfs.readCmdline(parent.pid);
    return found[0] === "sleep" ? found : undefined;
  });
  assert.deepEqual(words, ["sleep", "60"]);
  assert.deepEqual(procfs.childrenByParent().get(parent.pid), [zombie]);
  assert.equal(procfs.readStatus(zombie).memory, undefined);
  assert.equal(procfs.readStat(zombie).vsize, 0n);
  for (const read of ["auxv", "cmdline", "environ", "maps", "smaps", "fds", "mountinfo"] as const) {
    assert.deepEqual(READERS[read]!(zombie), [], read);
  }
  assert.equal(procfs.readCoredumpFilter(zombie), undefined);
  assert.equal(procfs.readNamespaces(zombie).mnt, undefined);
  assert.equal(procfs.readFdInfo(zombie, 0), undefined);
});

function isZombie(pid: number): boolean {
  return procfs.readStatus(pid).state === "Z";
}

async function until<T>(probe: () => T | undefined): Promise<T> {
  for (let tries = 0; tries < 500; tries++) {
    const found = probe();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("it did not come about within five seconds");
}

Deno.test("taskError() tells a refusal from a file that this kernel lacks", () => {
  const denied = new Deno.errors.PermissionDenied("Permission denied (os error 13): readfile");
  assert.equal(taskError(denied, "/proc/1/maps", 1).code, "no-privilege");
  assert.equal(taskError(denied, "/proc/1/maps", 1).errno, "EACCES");
  const missing = new Deno.errors.NotFound("No such file or directory (os error 2): readfile");
  assert.equal(taskError(missing, `/proc/${pid}/x`, pid).code, "kernel-too-old");
  assert.equal(taskError(missing, `/proc/${NOBODY}/x`, NOBODY).code, "no-such-task");
});
