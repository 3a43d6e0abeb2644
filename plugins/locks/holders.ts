/**
 * Who has a lock that a restored task needs.
 *
 * `/proc/locks` tells the process that took a lock, which may have ended while others have the open file still; of
 * a lock of an open file (OFD) it tells none. So the holder is looked for among all descriptors: their fdinfo has
 * the same line.
 *
 * @module
 */
import { openBy } from "../../core/checkpoint/outside_holders.ts";
import { O } from "../../core/linux/fcntl.ts";
import { identifyFile, isSameFile } from "../../core/linux/file_identity.ts";
import { statPath } from "../../core/linux/files.ts";
import {
  type FileLock,
  readFdInfo,
  readLocks,
  readProcesses,
  readStat,
  statFd,
} from "../../core/linux/procfs/mod.ts";
import { standsAgainst } from "./conflict.ts";
import { type LockFacts, TYPE } from "./lock.ts";

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
  const file = locks.length === 0 ? undefined : identifyFile(path);
  if (file === undefined) return undefined;
  const isInWay = (lock: FileLock): boolean =>
    isSameFile(file, lock) && standsAgainst(wanted, lock);
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
      const { tid, fds } = openBy(pid);
      if (fds.some((fd) => has(tid, fd))) return `task ${pid} (${readStat(pid).comm})`;
    } catch {
      // It has ended meanwhile, or may not be looked at.
    }
  }
  return undefined;
}
