/**
 * Who has a lock that a restored task needs.
 *
 * `/proc/locks` tells the process that took a lock, which may have ended while others have the open file still; of
 * a lock of an open file (OFD) it tells none. So the holder is looked for among all descriptors: their fdinfo has
 * the same line.
 *
 * @module
 */
import { isErrno } from "../../core/linux/errno.ts";
import { AT_FDCWD, O } from "../../core/linux/fcntl.ts";
import { statPath } from "../../core/linux/files.ts";
import { cString, syscall } from "../../core/linux/libc_ffi.ts";
import { OwnedDescriptor } from "../../core/linux/pidfd.ts";
import {
  type FileLock,
  readFdInfo,
  readFds,
  readLocks,
  readMountinfo,
  readProcesses,
  readStat,
  statFd,
} from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { standsAgainst } from "./conflict.ts";
import { type LockFacts, TYPE } from "./lock.ts";

/**
 * What `/proc/locks` calls the file of a path. Device and inode are the kernel's own, which are not those of
 * stat(2) on some file systems (btrfs, overlayfs); those of an open file and its mount are.
 *
 * @returns undefined if there is none, or it is on a mount that is not seen from here
 */
function identify(path: string): Pick<FileLock, "dev" | "inode"> | undefined {
  // With O_PATH nobody is asked to give a lease back.
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), O.PATH | O.CLOEXEC, 0);
  if (isErrno(opened)) return undefined;
  using file = new OwnedDescriptor(Number(opened));
  const { mountId, ino } = readFdInfo(Deno.pid, file.fd) ?? {};
  const mount = readMountinfo(Deno.pid).find(({ id }) => id === mountId);
  return mount === undefined || ino === undefined ? undefined : { dev: mount.dev, inode: ino };
}

/**
 * Somebody whose lock on a file stands against another, in words.
 *
 * @param tree processes that do not count
 * @param all what `/proc/locks` says
 * @returns `task 12 (cat)`; undefined if nobody's is seen
 */
export function findHolder(
  wanted: LockFacts,
  path: string,
  tree: ReadonlySet<number>,
  all: readonly FileLock[] = readLocks(),
): string | undefined {
  const locks = all.filter((lock) => standsAgainst(wanted, lock));
  const file = locks.length === 0 ? undefined : identify(path);
  if (file === undefined) return undefined;
  const isInWay = (lock: FileLock): boolean =>
    lock.inode === file.inode && lock.dev?.major === file.dev?.major &&
    lock.dev?.minor === file.dev?.minor && standsAgainst(wanted, lock);
  const [first] = locks.filter(isInWay);
  if (first === undefined) return undefined;
  return findProcess(tree, (pid, fd) => readFdInfo(pid, fd)?.locks.some(isInWay) === true) ??
    `task ${first.pid}, which has ended or cannot be seen from here`;
}

/**
 * Somebody who has a file open, and so keeps others from having a lease on it: for writing, or for anything where
 * the lease is for writing (`check_conflicting_open()` of `fs/locks.c`).
 */
export function findOpener(
  { type }: LockFacts,
  path: string,
  tree: ReadonlySet<number>,
): string | undefined {
  const { dev, ino } = statPath(path);
  return findProcess(tree, (pid, fd) => {
    const identity = statFd(pid, fd);
    if (identity?.dev !== dev || identity.ino !== ino) return false;
    const flags = readFdInfo(pid, fd)?.flags ?? O.PATH;
    return (flags & O.PATH) === 0 && (type !== TYPE.READ || (flags & O.ACCMODE) !== O.RDONLY);
  });
}

function findProcess(
  tree: ReadonlySet<number>,
  has: (pid: number, fd: number) => boolean,
): string | undefined {
  for (const pid of readProcesses()) {
    if (tree.has(pid)) continue;
    try {
      if (readFds(pid).some((fd) => has(pid, fd))) return `task ${pid} (${readStat(pid).comm})`;
    } catch {
      // It has ended meanwhile, or may not be looked at.
    }
  }
  return undefined;
}
