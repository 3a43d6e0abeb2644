/**
 * The order in which the kernel keeps the files of an epoll instance: by where they lie in its memory (`ep_cmp_ffd()` of
 * `fs/eventpoll.c`), which nothing else tells. An instance of this process's own to which descriptors are added shows
 * it; waiting for nothing on a file disturbs nobody.
 *
 * @module
 */
import type { Task } from "../../core/checkpoint/task.ts";
import { StasisError } from "../../base/errors.ts";
import { O } from "../../core/linux/fcntl.ts";
import { isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { openThreadPidfd, OwnedDescriptor, takeDescriptor } from "../../core/linux/pidfd.ts";
import { readFdInfo } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { EPOLL_CTL_ADD, EpollEvent } from "./fired.ts";

/**
 * Puts descriptors of a task into that order.
 *
 * @returns those whose files can be watched; none where it cannot be told
 */
export function inTreeOrder(
  { pid, liveTid }: Pick<Task, "pid" | "liveTid">,
  fds: readonly number[],
): readonly number[] {
  const made = syscall(SYSCALLS.epoll_create1, O.CLOEXEC);
  if (isErrno(made)) return [];
  using instance = new OwnedDescriptor(Number(made));
  try {
    using pidfd = openThreadPidfd(liveTid, pid);
    for (const fd of fds) {
      // The instance has it for as long as the task has, whatever becomes of the number here.
      using taken = takeDescriptor(pidfd, pid, fd);
      const event = EpollEvent.make({ events: 0, data: BigInt(fd) });
      syscall(SYSCALLS.epoll_ctl, instance.fd, EPOLL_CTL_ADD, taken.fd, event);
    }
    const { epoll = [] } = readFdInfo(Deno.pid, instance.fd) ?? {};
    return epoll.map(({ data }) => Number(data));
  } catch (error) {
    // It runs, and has closed one of them, or ended. Without the order there is more to be asked for.
    if (error instanceof StasisError) return [];
    throw error;
  }
}
