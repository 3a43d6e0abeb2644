/**
 * Directories that a program is told of changes in: fcntl(2) F_NOTIFY. The kernel shows the watch nowhere, but it sets
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
import { type Problem, StasisError } from "../../base/errors.ts";
import { S_IFDIR } from "./kinds.ts";

const F_GETOWN_EX = 16;

/** Says that a directory seems to be watched. */
export function notifyProblem(
  descriptor: Descriptor,
): Omit<Problem, "plugin" | "pid"> | undefined {
  const { fd, info, fileType, link } = descriptor;
  if (fileType !== S_IFDIR || (info.flags & O.PATH) !== 0 || !hasOwner(descriptor)) {
    return undefined;
  }
  return {
    what:
      `its descriptor ${fd} (${link.text}) is a directory that it is told of changes in (F_NOTIFY)`,
    hint:
      "nothing tells what such a watch is for: close it before the checkpoint, or use inotify(7)",
  };
}

function hasOwner({ pid, liveTid, fd }: Descriptor): boolean {
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
