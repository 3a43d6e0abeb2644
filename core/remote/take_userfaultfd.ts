/**
 * Has a stopped task make a userfaultfd of its memory, and takes it from it: whoever made one, it belongs to the memory
 * of that process (`SYSCALL_DEFINE1(userfaultfd)` of `fs/userfaultfd.c`).
 *
 * @module
 */
import { errnoName, isErrno } from "../linux/errno.ts";
import { openThreadPidfd, type OwnedDescriptor, takeDescriptor } from "../linux/pidfd.ts";
import { readFds } from "../linux/procfs/mod.ts";
import { UFFD_FLAGS, WriteTracker } from "../linux/userfaultfd.ts";
import type { RemoteTask } from "./remote_task.ts";
import { LentDescriptor, lowestFree } from "./send_descriptor.ts";

/**
 * What tells the writes of a task from now on.
 *
 * @param remote stands still
 * @returns why it cannot be had
 */
export function takeWriteTracker(remote: RemoteTask): WriteTracker | string {
  const uffd = takeUserfaultfd(remote);
  if (typeof uffd === "string") return uffd;
  const tracker = WriteTracker.open(uffd);
  if (typeof tracker !== "string") return tracker;
  return `userfaultfd gives no asynchronous protection: ${tracker}`;
}

function takeUserfaultfd(remote: RemoteTask): OwnedDescriptor | string {
  const { pid, leader: { tid } } = remote;
  // The kernel gives the lowest free number.
  const [number] = lowestFree(readFds(tid), 1) as [number];
  const noted = remote.noteDescriptor(number);
  const made = remote.tryCall("userfaultfd", UFFD_FLAGS);
  if (isErrno(made)) {
    noted?.erase();
    return `task ${pid} can make no userfaultfd: ${errnoName(-made)}`;
  }
  using lent = new LentDescriptor(remote, Number(made), noted);
  using pidfd = openThreadPidfd(tid, pid);
  return takeDescriptor(pidfd, pid, lent.fd);
}
