/**
 * Ends a tree that was saved and is not to run on.
 *
 * @module
 */
import { syscall } from "../linux/libc_ffi.ts";
import { SIG } from "../linux/signals.ts";
import { waitForStop } from "../linux/ptrace.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { FrozenTree } from "../plugin.ts";

/**
 * Kills every process of a tree and takes its end as its tracer, so that only its parent is left to reap
 * it. Children die before their parents, and parents are still frozen: nobody sees a SIGCHLD.
 *
 * @returns the pids that are still taken: zombies whose parents have not reaped them
 */
export function killTree(tree: FrozenTree): number[] {
  for (const task of tree.tasks) syscall(SYSCALLS.kill, task.pid, SIG.KILL);
  for (const task of [...tree.tasks].reverse()) {
    // The leader is reaped last: the kernel reports its end only when all other threads are gone.
    for (const { tid } of [...task.threads].reverse()) {
      for (;;) {
        const { kind } = waitForStop(tid);
        if (kind === "killed" || kind === "exited" || kind === "absent") break;
      }
    }
  }
  const pids = [...tree.tasks.map(({ pid }) => pid), ...tree.zombies.map(({ pid }) => pid)];
  return pids.filter((pid) => syscall(SYSCALLS.kill, pid, 0) === 0n);
}
