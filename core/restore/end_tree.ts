/**
 * Ends a tree that is only half built, so that nothing of it is left: no process, no zombie.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, isErrno } from "../linux/errno.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { readChildren, readTasks } from "../linux/procfs/mod.ts";
import { waitForStop } from "../linux/ptrace.ts";
import { SIG } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

const PR_SET_CHILD_SUBREAPER = 36;
const PR_GET_CHILD_SUBREAPER = 37;

/**
 * Kills traced, stopped tasks with everything that descends from them, and reaps it all. A program that
 * failed in the middle may have made children and threads that nobody has taken note of: they are found in
 * `/proc`, and are traced as their maker is.
 *
 * A child whose parent is dead goes to init, which may take seconds to reap it, and its pid stays taken for
 * as long. So this process adopts orphans meanwhile.
 */
export function endTree(pids: Iterable<number>): void {
  const doomed = new Set(pids);
  // A set that grows while it is walked is walked to its end.
  for (const pid of doomed) for (const child of listed(() => readChildren(pid))) doomed.add(child);
  using _ = adoptOrphans();
  // Before they are killed: some are gone by themselves afterwards.
  const threadsOf = new Map([...doomed].map((pid) => [pid, listed(() => readTasks(pid))]));
  for (const pid of doomed) {
    const sent = syscall(SYSCALLS.kill, pid, SIG.KILL);
    // What must not be killed dies with this process, which traces it (PTRACE_O_EXITKILL).
    if (isErrno(sent) && sent !== -BigInt(Errno.ESRCH)) doomed.delete(pid);
  }
  // The first end is told to the tracer. Where the parent lived still it got a zombie then, which has come
  // here with the parent's own end: so each is asked for twice.
  for (const pid of doomed) {
    for (const tid of threadsOf.get(pid) ?? []) if (tid !== pid) awaitEnd(tid);
    // The leader comes last: the kernel tells of its end only when all other threads have been waited for.
    awaitEnd(pid);
  }
  for (const pid of doomed) awaitEnd(pid);
}

/** Waits until a task has ended, or is nobody that this process can wait for. */
function awaitEnd(tid: number): void {
  for (;;) {
    const { kind } = waitForStop(tid);
    if (kind === "killed" || kind === "exited" || kind === "absent") return;
  }
}

/** Makes this process the one to which orphans among its descendants go (PR_SET_CHILD_SUBREAPER). */
function adoptOrphans(): Disposable {
  const before = new Int32Array(1);
  syscall(SYSCALLS.prctl, PR_GET_CHILD_SUBREAPER, new Uint8Array(before.buffer), 0, 0, 0);
  syscall(SYSCALLS.prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  return {
    [Symbol.dispose]: () =>
      void syscall(SYSCALLS.prctl, PR_SET_CHILD_SUBREAPER, before[0] as number, 0, 0, 0),
  };
}

/** What `/proc` lists; nothing of a task that is gone. */
function listed(read: () => readonly number[]): readonly number[] {
  try {
    return read();
  } catch (error) {
    if (error instanceof StasisError && error.code === "no-such-task") return [];
    throw error;
  }
}
