/**
 * Which locks a tree holds, each once, and by which descriptor of which task it is to be taken again.
 *
 * The `lock:` lines of a descriptor's fdinfo are those that were taken through its open file description, and of
 * POSIX locks those that its own descriptor table owns (`show_fd_locks()` of `fs/locks.c`). So each shows in all
 * duplicates of the descriptor; all but POSIX locks in other tasks that have the description, too.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { findOrdered, KCMP, kcmp } from "../../core/linux/kcmp.ts";
import type { FileLock } from "../../core/linux/procfs/mod.ts";

/** A lock that is held. */
export interface HeldLock {
  readonly lock: FileLock;
  /** A descriptor by which it can be taken: one of the task that took it, if that has one. */
  readonly descriptor: Descriptor;
}

/** What is looked at of a descriptor. */
type Lockable = Pick<Descriptor, "pid" | "liveTid" | "fd" | "isInFlight"> & {
  readonly info: Pick<Descriptor["info"], "locks">;
};

/**
 * Finds all locks.
 *
 * @param descriptors of all tasks, also of those that share a table
 * @param order the order of two open file descriptions, 0 if they are the same
 */
export function findLocks<D extends Lockable>(
  descriptors: Iterable<D>,
  order: (a: D, b: D) => number = orderOf,
): { readonly lock: FileLock; readonly descriptor: D }[] {
  const known = new Map<string, { lock: FileLock; descriptor: D }[]>();
  for (const descriptor of descriptors) {
    for (const lock of descriptor.info.locks) {
      const key = keyOf(lock);
      let alike = known.get(key);
      if (alike === undefined) known.set(key, alike = []);
      // POSIX locks of one task that are equal are the same one, whatever they were taken through.
      const { index, found } = lock.type === "POSIX"
        ? { index: 0, found: alike.length > 0 }
        : findOrdered(alike, ({ descriptor: other }) => order(descriptor, other));
      if (!found) alike.splice(index, 0, { lock, descriptor });
      else {
        const one = alike[index] as { lock: FileLock; descriptor: D };
        const isBetter = descriptor.pid === lock.pid && one.descriptor.pid !== lock.pid ||
          !descriptor.isInFlight && one.descriptor.isInFlight;
        if (isBetter) {
          one.descriptor = descriptor;
        }
      }
    }
  }
  return [...known.values()].flat();
}

/** All that is told of a lock but its place in the list. */
function keyOf({ type, kind, mode, pid, dev, inode, start, end }: FileLock): string {
  return [type, kind, mode, pid, dev?.major, dev?.minor, inode, start, end].join(" ");
}

function orderOf(a: Lockable, b: Lockable): number {
  return kcmp(a.liveTid, b.liveTid, KCMP.FILE, a.fd, b.fd);
}
