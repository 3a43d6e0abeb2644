/**
 * Finding out, before any file of it is looked at, that a file system does not answer: one of a network whose server
 * is gone, or of FUSE whose program hangs. Whoever asks it for anything waits for as long as that lasts, and cannot be
 * cancelled; so another thread asks first.
 *
 * @module
 */
import type { Problem } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { cString } from "../linux/libc_ffi.ts";
import { type MountInfo, readMountinfo } from "../linux/procfs/mod.ts";
import { callAside } from "../linux/x86_64/aside_ffi.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { pause } from "../linux/pause.ts";
import { mayHaveInFlight } from "./in_flight.ts";
import type { Task } from "./task.ts";

/** File systems that somebody outside of the kernel answers for. */
const SERVED =
  /^(?:fuse(?:blk)?(?:\..*)?|nfs4?|cifs|smb3|smbfs|9p|ceph|afs|virtiofs|lustre|glusterfs|ocfs2|gfs2)$/;

/** For how long an answer is waited for, in milliseconds. */
const PATIENCE = 2_000;
/** The size of a `struct statfs`. */
const STATFS_SIZE = 120;

/**
 * The problems of tasks that have files of such file systems, or may have them in flight: what lies in the queue of a
 * socket nobody can look at without having a descriptor of it, and to close that asks the file system too, in a way
 * that not even the end of a process cancels (fuse_flush() of `fs/fuse/file.c`).
 *
 * @param cancellation ends the waiting
 */
export function findMute(tasks: readonly Task[], cancellation: Cancellation): Problem[] {
  const served = readMountinfo(Deno.pid).filter(({ fsType }) => SERVED.test(fsType));
  if (served.length === 0) return [];
  const problems: Problem[] = [];
  const answers = new Map<MountInfo, boolean>();
  for (const task of tasks) {
    const own = mountsOf(task, served);
    const mute = new Set<MountInfo>();
    for (const mount of mayHaveInFlight([task]) ? served : own) {
      let answer = answers.get(mount);
      if (answer === undefined) answers.set(mount, answer = doesAnswer(mount, cancellation));
      if (!answer) mute.add(mount);
    }
    for (const mount of mute) {
      const { fsType, mountPoint } = mount;
      problems.push({
        pid: task.pid,
        plugin: "core",
        what: own.has(mount)
          ? `it has files of a file system that does not answer, ${mountPoint} (${fsType})`
          : "descriptors of open files lie in queues of its sockets (SCM_RIGHTS), and may be of a file system that " +
            `does not answer, ${mountPoint} (${fsType})`,
        hint: "see to the server of that file system, or have it give up (umount -f)",
      });
    }
  }
  return problems;
}

/** The mounts, of these, on which a task has files. Nothing of them is looked at: `/proc` tells by their names. */
function mountsOf(task: Task, mounts: readonly MountInfo[]): Set<MountInfo> {
  const found = new Set<MountInfo>();
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  for (const { info } of task.descriptors) {
    const mount = byId.get(info.mountId);
    if (mount !== undefined) found.add(mount);
  }
  const { links } = task;
  // It may be on any of them.
  if (links === undefined) return new Set(mounts);
  const paths = [...links, ...new Set(task.vmas.map(({ name }) => name))];
  for (const path of paths) {
    // One may be mounted on another: the way to the path leads through both.
    for (const mount of mounts) if (isBelow(path, mount.mountPoint)) found.add(mount);
  }
  return found;
}

/** Whether a path lies on a mount, or would if nothing else were mounted below it. */
export function isBelow(path: string, mountPoint: string): boolean {
  return path === mountPoint || path.startsWith(mountPoint === "/" ? "/" : `${mountPoint}/`);
}

/** Whether a file system answers in time. That it answers with an error is an answer. */
function doesAnswer({ mountPoint }: MountInfo, cancellation: Cancellation): boolean {
  const end = performance.now() + PATIENCE;
  const call = callAside(SYSCALLS.statfs, cString(mountPoint), new Uint8Array(STATFS_SIZE));
  while (call.result() === undefined) {
    if (performance.now() > end) return false;
    cancellation.check();
    pause(0.2);
  }
  return true;
}
