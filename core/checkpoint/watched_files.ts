/**
 * Paths of files that inotify(7) and fanotify(7) watch. The kernel tells a file by its inode and, where its file system
 * has handles, by its handle; so what was renamed, or is watched through a bind mount, is found.
 *
 * @module
 */
import type { Session } from "../contract/session.ts";
import { bytesWaiting } from "../linux/fcntl.ts";
import { FileFinder } from "../linux/file_handles.ts";
import { type FileIdentity, identifyFile, isSameFile } from "../linux/file_identity.ts";
import { type DeviceNumber, type FileHandle, unlessGone } from "../linux/procfs/mod.ts";
import type { Descriptor, Task } from "./task.ts";

/**
 * Notes events that wait to be read: nobody can put them back, and a look would take them away.
 *
 * @param kind `inotify` or `fanotify`
 * @param fd a duplicate of the descriptor here
 */
export function noteUnread(
  session: Pick<Session, "note">,
  kind: string,
  descriptor: Descriptor,
  fd: number,
): void {
  const waiting = bytesWaiting(fd);
  if (waiting === 0) return;
  session.note(
    `task ${descriptor.pid} has not read ${waiting} bytes of events of its ${kind} descriptor ` +
      `${descriptor.fd} yet, which a restored one will not see`,
  );
}

/** A file as the kernel tells it. */
export interface WatchedFile {
  readonly dev: DeviceNumber;
  readonly ino: bigint;
  /** Undefined where its file system has none. */
  readonly handle?: FileHandle;
}

/** Paths that lead to files that a tree watches. What was found in a first look serves the second. */
export class WatchedPaths {
  readonly #paths = new Map<string, string>();

  /** A path that leads to a file, if one was found. */
  of(file: WatchedFile): string | undefined {
    return this.#paths.get(fileKey(file));
  }

  /**
   * Looks for the files that have no path yet.
   *
   * @param tasks the tree
   * @param watches says what a task watches
   */
  find(tasks: readonly Task[], watches: (task: Task) => readonly WatchedFile[]): void {
    const lost = tasks.flatMap((task) =>
      watches(task).filter((file) => this.of(file) === undefined).map((file) => ({ task, file }))
    );
    if (lost.length === 0) return;
    const open = new OpenFiles(tasks);
    using finder = new FileFinder();
    for (const { task, file } of lost) {
      const path = locate(file, task, finder, open);
      if (path !== undefined) this.#paths.set(fileKey(file), path);
    }
  }
}

function fileKey({ dev, ino }: WatchedFile): string {
  return `${dev.major}:${dev.minor} ${ino}`;
}

/** The descriptors of tasks by the inodes of their files. */
class OpenFiles {
  readonly #byTask: ReadonlyMap<Task, ReadonlyMap<bigint | undefined, readonly Descriptor[]>>;

  constructor(tasks: readonly Task[]) {
    this.#byTask = new Map(tasks.map((task) => [
      task,
      Map.groupBy(unlessGone(() => task.descriptors, []), ({ info }) => info.ino),
    ]));
  }

  /** Those of one task, or of all, that have a path and may be of this file: another one may have its number. */
  of(inode: bigint, task?: Task): Descriptor[] {
    const found = task === undefined
      ? [...this.#byTask.values()].flatMap((table) => table.get(inode) ?? [])
      : this.#byTask.get(task)?.get(inode) ?? [];
    return found.filter(({ link }) => link.kind === "path");
  }
}

/** A path that leads to a file that is watched. */
function locate(
  watch: WatchedFile,
  task: Task,
  finder: FileFinder,
  open: OpenFiles,
): string | undefined {
  const { dev, ino: inode, handle } = watch;
  const file = { dev, inode };
  return (handle && finder.byHandle(file, handle)) ??
    open.of(inode, task).find(({ link }) => finder.isAt(link.text, file))?.link.text ??
    deletedPath(file, open);
}

/** The way to a file that was deleted and that a task of the tree has open. */
function deletedPath(file: FileIdentity, open: OpenFiles): string | undefined {
  const paths = open.of(file.inode).filter(({ link }) => link.deleted)
    .map(({ liveTid, fd }) => `/proc/${liveTid}/fd/${fd}`);
  return paths.find((path) => {
    const found = identifyFile(path);
    return found !== undefined && isSameFile(found, file);
  });
}
