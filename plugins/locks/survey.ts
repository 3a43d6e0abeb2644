/**
 * Locks that cannot be saved.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import {
  isNamedExternal,
  openBy,
  type OutsideHolders,
} from "../../core/checkpoint/outside_holders.ts";
import { type Descriptor, Task } from "../../core/checkpoint/task.ts";
import { Errno, isErrno } from "../../core/linux/errno.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { KCMP, kcmp } from "../../core/linux/kcmp.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import { type FileLock, readFdLink, unlessGone } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { OperationOptions, SurveyContext } from "../../core/plugin.ts";
import { findLocks, type HeldLock } from "./find.ts";
import { BREAKING, describeLock, encodeLock, TYPE, wholeLease } from "./lock.ts";

/** Reports every lock of a tree that cannot be saved. */
export function surveyLocks(
  { tasks, frozen, problem }: SurveyContext,
  options: OperationOptions,
  outside: OutsideHolders,
): void {
  const locks = findLocks(tasks.flatMap((task) => unlessGone(() => task.descriptors, [])));
  /** Whether it is to be known that nobody outside has the same lock. */
  const mayBeShared = ({ lock, descriptor }: HeldLock): boolean =>
    options.leaveRunning !== true && lock.type !== "POSIX" && !isNamedExternal(options, descriptor);
  const asked = locks.filter(mayBeShared);
  // All at once: each look goes through all descriptors of all processes.
  if (asked.length > 0) outside.look(tasks, asked.map(({ descriptor }) => descriptor.link.text));
  const leases = locks.filter(({ lock }) => lock.type === "LEASE");
  const mapped = leases.length === 0 ? new Set<string>() : mappedFiles(tasks);
  for (const held of locks) {
    const { lock, descriptor } = held;
    const { pid, fd, link } = descriptor;
    if (descriptor.isInFlight) {
      problem({
        what:
          `a file in flight (${link.text}) is locked (${lock.type}), and no task has a descriptor of it by which ` +
          "the lock could be taken again",
        hint: "try again when the program has received it",
      });
      continue;
    }
    const whose = `its descriptor ${fd} (${link.text})`;
    const facts = encodeLock(lock);
    if (facts === undefined) {
      const what = `${whose} has a delegation (F_SETDELEG), which cannot be saved`;
      problem({ pid, what, hint: "release it before the checkpoint" });
      continue;
    }
    const words = describeLock(facts);
    if (lock.type === "LEASE") {
      if (link.deleted) {
        const what = `${whose} has a ${words}, and the file was deleted`;
        // To save its contents is to open it, and that would have the lease taken back.
        problem({ pid, what, hint: "release it before the checkpoint" });
      } else if (isForWriting(descriptor, facts.type) && mapped.has(fileKey(lock))) {
        problem({
          pid,
          what:
            `${whose} has a ${words}, and the file is mapped: a restore opens it for that once more, ` +
            "which excludes a lease for writing",
          hint: "release the lease or unmap the file before the checkpoint",
        });
      } else if (frozen && isUnclear(descriptor, facts.type)) {
        problem({
          pid,
          what: `${whose} has a write lease that is being taken back, though it can only read`,
          hint: "release the lease (F_SETLEASE, F_UNLCK), as the program was asked to",
        });
      }
    }
    const sharer = mayBeShared(held) ? sharedWith(descriptor, outside) : undefined;
    if (sharer === undefined) continue;
    problem({
      pid,
      what:
        `${whose} has a ${words} that task ${sharer} outside of the tree has as well: it inherited it`,
      hint: `checkpoint a tree that both are in, or let it run on (--leave-running)`,
    });
  }
}

/** Whether a lease is for writing, or was before it was to be taken back. */
function isForWriting({ info }: Descriptor, type: number): boolean {
  return wholeLease(type, (info.flags & O.ACCMODE) !== O.RDONLY) === TYPE.WRITE;
}

/** The files that tasks have mapped, by {@link fileKey}. */
function mappedFiles(tasks: readonly Task[]): Set<string> {
  return new Set(tasks.flatMap((task) => unlessGone(() => task.vmas, []).map(fileKey)));
}

function fileKey({ dev, inode }: Pick<FileLock, "dev" | "inode">): string {
  return `${dev?.major}:${dev?.minor} ${inode}`;
}

/**
 * Whether nothing in the image will tell that a lease was one for writing. It tells what is to remain of it; what
 * there was tells the access mode of the file, but for a file that is only read.
 */
function isUnclear({ liveTid, fd, info }: Descriptor, type: number): boolean {
  if (type !== (TYPE.UNLCK | BREAKING) || (info.flags & O.ACCMODE) !== O.RDONLY) return false;
  // The lease is being taken back for a writer. A reader waits too only if it was one for writing; and nothing
  // changes by asking.
  const flags = O.RDONLY | O.NONBLOCK | O.CLOEXEC;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(`/proc/${liveTid}/fd/${fd}`), flags, 0);
  if (isErrno(opened)) return -opened === BigInt(Errno.EAGAIN);
  new OwnedDescriptor(Number(opened))[Symbol.dispose]();
  return false;
}

/** A process outside of the tree that has the same open file description. */
function sharedWith(
  { liveTid, fd, link }: Descriptor,
  outside: OutsideHolders,
): number | undefined {
  return outside.behind(link.text).find((other) => {
    const { tid, fds } = unlessGone(() => openBy(other), { tid: other, fds: [] });
    return fds.some((number) =>
      unlessGone(() => readFdLink(tid, number), undefined)?.text === link.text &&
      orderOf(liveTid, fd, tid, number) === 0
    );
  });
}

/** The order of two open file descriptions, 0 if they are the same; 1 where one of them is gone. */
function orderOf(pid: number, fd: number, other: number, number: number): -1 | 0 | 1 {
  try {
    return kcmp(pid, other, KCMP.FILE, fd, number);
  } catch (error) {
    // Either may close it, or end, at any moment.
    if (error instanceof StasisError && error.code !== "kernel-too-old") return 1;
    throw error;
  }
}

/**
 * The locks of flock(2) that a saved tree has by mappings alone: such a lock lives as long as the open file
 * description, which a mapping keeps when its last descriptor is closed. Then only `/proc/locks` has it. A Java
 * virtual machine has one on the file of its performance data.
 *
 * @param tasks as they were saved; they may run on by now, or have ended
 * @param held the locks on their descriptors when they were saved
 * @param all what `/proc/locks` says now
 */
export function locksOfMappings(
  tasks: readonly Task[],
  held: readonly HeldLock[],
  all: readonly FileLock[],
): { readonly pid: number; readonly lock: FileLock }[] {
  const pids = new Set(tasks.map(({ pid }) => pid));
  const left = Map.groupBy(
    all.filter(({ type, blocked, pid }) => type === "FLOCK" && !blocked && pids.has(pid)),
    keyOf,
  );
  if (left.size === 0) return [];
  // On a descriptor is also one that was taken, or given back, since the tree runs on.
  const saved = Map.groupBy(held, keyOfHeld);
  const now = Map.groupBy(
    findLocks(
      tasks.flatMap(({ pid }) => unlessGone(() => new Task(pid).descriptors, [])),
      (a, b) => orderOf(a.liveTid, a.fd, b.liveTid, b.fd),
    ),
    keyOfHeld,
  );
  for (const [key, locks] of left) {
    locks.splice(0, Math.max(saved.get(key)?.length ?? 0, now.get(key)?.length ?? 0));
  }
  return [...left.values()].flatMap(([lock]) => {
    if (lock === undefined) return [];
    const holder = tasks.find((task) => task.vmas.some((vma) => isOf(lock, vma)));
    return holder === undefined ? [] : [{ pid: holder.pid, lock }];
  });
}

function keyOf({ pid, mode, dev, inode }: FileLock): string {
  return [pid, mode, dev?.major, dev?.minor, inode].join(" ");
}

function keyOfHeld({ lock }: HeldLock): string {
  return keyOf(lock);
}

function isOf({ dev, inode }: FileLock, vma: Task["vmas"][number]): boolean {
  return vma.inode === inode && vma.dev.major === dev?.major && vma.dev.minor === dev.minor;
}
