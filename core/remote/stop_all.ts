/**
 * Leaving a tree stopped.
 *
 * @module
 */
import { syscall } from "../linux/libc_ffi.ts";
import { SIG } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

/**
 * Has processes that stand still under ptrace(2) be stopped when they are let go: SIGSTOP, which nobody can block, is the
 * first thing that each of them hears of then. One that is gone needs none.
 */
export function stopAll(pids: readonly number[]): void {
  for (const pid of pids) syscall(SYSCALLS.kill, pid, SIG.STOP);
}
