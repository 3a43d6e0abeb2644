/**
 * Plugin `locks`: locks of files (flock(2), F_SETLK, F_OFD_SETLK), and leases (F_SETLEASE), whatever kind of file
 * they are on.
 *
 * Saved: each lock once, from the `lock:` lines of `/proc/PID/fdinfo/FD` (see `find.ts`), as `filelocks.img`, the
 * same as CRIU's. Those that wait for a lock are in a system call, which begins anew. Nothing is asked of the tasks,
 * so a tree that runs on keeps its locks. Locks of others on the same files are of no interest.
 *
 * Restored, by the tasks that had taken them, and without waiting: leases while there are service descriptors still,
 * the others when these are closed, since a process loses its POSIX locks on a file when it closes any descriptor of
 * it (`locks_remove_posix()` of `fs/locks.c`). Between the end of the tree and its restore the locks are nobody's: if
 * somebody else has one by then, the restore is refused, and says who; mostly before anything is built.
 *
 * Refused at the checkpoint: delegations, leases on deleted files, leases for writing on files
 * that the tree has mapped, locks that a process outside of the tree has too
 * (it inherited them, or they were inherited from it) if the tree is to end. Noted as lost: what only a mapping holds.
 *
 * @module
 */
import { outsideHolders } from "../../core/checkpoint/outside_holders.ts";
import { O } from "../../core/linux/fcntl.ts";
import { readLocks, readLocksAside } from "../../core/linux/procfs/mod.ts";
import { readDescriptors } from "../../core/restore/descriptors.ts";
import { commonPart } from "../../core/restore/owner.ts";
import {
  type CheckpointHooks,
  type CheckpointSession,
  definePlugin,
  type Plugin,
  remapPath,
  type RestoreHooks,
  type RestoreSession,
} from "../../core/plugin.ts";
import { NO_OWNER } from "../../images/fown.ts";
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import type { file_lock_entry } from "../../images/gen/file_locks_pb.ts";
import { FILE_LOCKS, FILES, REMAP_FPATH } from "../../images/kinds/files.ts";
import { findLocks, type HeldLock } from "./find.ts";
import { findHolder, findOpener } from "./holders.ts";
import { encodeLock, KIND, validateLocks } from "./lock.ts";
import { lockConflict, type LockedFile, planLease, planLock } from "./plan.ts";
import { locksOfMappings, surveyLocks } from "./survey.ts";

/** The plugin. */
export const locks: Plugin = definePlugin({
  name: "locks",
  description: "locks of files, and leases",
  images: [FILE_LOCKS],
  checkpoint: checkpointLocks,
  restore: restoreLocks,
});

function checkpointLocks({ writer, options, note }: CheckpointSession): CheckpointHooks {
  let held: readonly HeldLock[] = [];
  return {
    survey: (tree) => surveyLocks(tree, options, outsideHolders(writer)),
    dumpTree({ tasks }) {
      held = findLocks(tasks.flatMap(({ proc }) => proc.descriptors));
      if (held.length === 0) return;
      writer.writeList(
        FILE_LOCKS,
        null,
        held.flatMap(({ lock, descriptor: { pid, fd } }) => {
          const facts = encodeLock(lock);
          return facts === undefined ? [] : [{ ...facts, pid, fd }];
        }),
      );
    },
    async conclude({ tasks }) {
      const all = await readLocksAside();
      for (const { pid, lock: { inode } } of locksOfMappings(tasks, held, all)) {
        note(
          `task ${pid} has a lock (flock) on a file that it has mapped (inode ${inode}), taken by a descriptor ` +
            "that is closed: it is not in the images",
        );
      }
    },
  };
}

function restoreLocks({ images, options, rehearsal }: RestoreSession): RestoreHooks {
  const saved = images.has(FILE_LOCKS, null) ? images.readList(FILE_LOCKS, null) : [];
  if (saved.length === 0) return {};
  const files = new Map(images.readList(FILES, null).map((file) => [file.id, file]));
  const remaps = images.has(REMAP_FPATH, null) ? images.readList(REMAP_FPATH, null) : [];
  const ghosts = new Set(remaps.map(({ origId }) => origId));
  const tables = new Map<number, ReadonlyMap<number, file_entry | undefined>>();
  const tree = new Set<number>();
  const byTask = Map.groupBy(saved, ({ pid }) => pid);

  /** The descriptors of a task. */
  const tableOf = (pid: number): ReadonlyMap<number, file_entry | undefined> => {
    let table = tables.get(pid);
    if (table === undefined) {
      table = new Map(readDescriptors(images, pid).map(({ fd, id }) => [fd, files.get(id)]));
      tables.set(pid, table);
    }
    return table;
  };
  /** The path of the file of a lock; undefined where it has none, or is to be made anew. */
  const pathOf = ({ pid, fd }: file_lock_entry): string | undefined => {
    const file = tableOf(pid).get(fd);
    const id = file?.fifo === undefined ? file?.id : file.fifo.regfId || file.id;
    const name = id === undefined || ghosts.has(id) ? undefined : files.get(id)?.reg?.name;
    return name === undefined ? undefined : remapPath(name, options);
  };
  const fileOf = (lock: file_lock_entry): LockedFile => {
    const path = pathOf(lock);
    return {
      name: path ?? `descriptor ${lock.fd}`,
      holder: (lock) => {
        if (path === undefined) return undefined;
        const holder = findHolder(lock, path, tree);
        return holder ?? (lock.flag === KIND.LEASE ? findOpener(lock, path, tree) : undefined);
      },
    };
  };
  return {
    load({ tasks, problem }) {
      for (const { pid } of tasks) tree.add(pid);
      const has = (pid: number, fd: number) => tree.has(pid) && tableOf(pid).has(fd);
      validateLocks(saved, has, images.pathOf(FILE_LOCKS, null));
      // What the tree has itself is in nobody's way.
      if (rehearsal) return;
      const all = readLocks();
      for (const lock of saved) {
        const path = pathOf(lock);
        const holder = path === undefined ? undefined : findHolder(lock, path, tree, all);
        if (holder !== undefined) problem(lockConflict(lock, path as string, holder));
      }
    },
    planTask(task) {
      for (const lock of byTask.get(task.pid) ?? []) {
        const file = fileOf(lock);
        if (lock.flag !== KIND.LEASE) {
          planLock(task.program("locks"), lock, file);
          continue;
        }
        const entry = tableOf(lock.pid).get(lock.fd);
        const { flags = 0, fown = NO_OWNER } = entry && commonPart(entry, task.files) || {};
        const proc = () => task.tree.serviceFile("/proc", O.PATH | O.DIRECTORY);
        planLease(task.program("close"), lock, file, { proc, flags, fown });
      }
    },
  };
}
