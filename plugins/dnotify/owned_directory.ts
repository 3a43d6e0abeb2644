/**
 * Directories that a program may be told of changes in: fcntl(2) F_NOTIFY. The kernel shows the watch nowhere, but it sets
 * the owner of the descriptor to the caller with it (fcntl_dirnotify() of `fs/notify/dnotify/dnotify.c`), and an owner
 * of a directory is good for nothing else.
 *
 * @module
 */
import type { Descriptor } from "../../core/checkpoint/task.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { O } from "../../core/linux/fcntl.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { openThreadPidfd, takeDescriptor } from "../../core/linux/pidfd.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { StasisError } from "../../base/errors.ts";

const F_GETOWN_EX = 16;
const S_IFDIR = 0o040000;

/** Whether a descriptor is of a directory, and has an owner: seen by one of its table, or of an heir of that. */
export function hasOwner(descriptor: Descriptor): boolean {
  const { pid, liveTid, fd, info, link: { kind } } = descriptor;
  // Of sockets and the like there may be thousands, and nothing else is to be known of their files.
  if (kind === "socket" || kind === "pipe" || kind === "anon-inode") return false;
  if (descriptor.fileType !== S_IFDIR || (info.flags & O.PATH) !== 0) return false;
  try {
    using process = openThreadPidfd(liveTid, pid);
    using duplicate = takeDescriptor(process, pid, fd);
    const words = new Int32Array(2); // struct f_owner_ex: type, pid
    const bytes = new Uint8Array(words.buffer);
    return !isErrno(syscall(SYSCALLS.fcntl, duplicate.fd, F_GETOWN_EX, bytes)) && words[1] !== 0;
  } catch (error) {
    // A running task may close it, or end, at any moment.
    if (
      error instanceof StasisError && (error.code === "no-such-task" || error.errno === "EBADF")
    ) {
      return false;
    }
    throw error;
  }
}
