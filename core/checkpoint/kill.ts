/**
 * Ends a tree that was saved and is not to run on.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { waitForStop } from "../linux/ptrace.ts";
import { SIG } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { FrozenTask, FrozenTree } from "../plugin.ts";
import { SyscallProgram } from "../remote/program.ts";
import { awaitStop } from "../remote/reap.ts";

const WNOHANG = 1;
const WALL = 0x40000000;
/** P_PID; WEXITED | WNOWAIT | __WALL: look at the end of a child without reaping it (waitid(2)). */
const P_PID = 1;
const EXITED_KEEP = 0x4 | 0x01000000 | WALL;

/**
 * Kills every process of a tree, children before their parents. Each parent, still frozen, is made to reap
 * its children before it dies: otherwise their pids would stay taken until init gets round to it.
 *
 * @param onEnded is told the pid of each as it has ended: it may be somebody else's soon
 * @returns the pids that are still taken: zombies whose parents have not reaped them
 */
export function killTree(tree: FrozenTree, onEnded: (pid: number) => void): number[] {
  const children = new Map<number, number[]>();
  for (const { stat, pid } of [...tree.tasks.map(({ proc }) => proc), ...tree.zombies]) {
    const siblings = children.get(stat.ppid);
    if (siblings === undefined) children.set(stat.ppid, [pid]);
    else siblings.push(pid);
  }
  for (const task of [...tree.tasks].reverse()) {
    reap(task, children.get(task.pid) ?? []);
    kill(task);
    onEnded(task.pid);
  }
  const pids = [...tree.tasks.map(({ pid }) => pid), ...tree.zombies.map(({ pid }) => pid)];
  return pids.filter((pid) => syscall(SYSCALLS.kill, pid, 0) === 0n);
}

/** Has a task reap its dead children. That it fails only means that somebody else does it later. */
function reap(task: FrozenTask, children: readonly number[]): void {
  if (children.length === 0) return;
  const program = new SyscallProgram("reaping the children");
  for (const pid of children) program.try("wait4", pid, 0, WNOHANG | WALL, 0);
  try {
    task.remote.run(program);
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
  }
}

function kill(task: FrozenTask): void {
  const { pid, threads, proc } = task;
  const sent = syscall(SYSCALLS.kill, pid, SIG.KILL);
  // A security module, for example, may forbid to kill what may be traced.
  const fromInside = isErrno(sent) && sent !== -BigInt(Errno.ESRCH);
  if (fromInside) killFromInside(task);
  // The leader comes last: the kernel reports its end only when all other threads are gone.
  for (const { tid, tracee } of [...threads].reverse()) {
    if (tid === pid && proc.stat.ppid === Deno.pid) {
      // A child of this process: whoever started it here wants to know how it ended.
      syscall(SYSCALLS.waitid, P_PID, pid, new Uint8Array(128), EXITED_KEEP, 0);
    } else {
      for (;;) {
        const { kind } = tid === pid ? awaitStop(tid, pid) : waitForStop(tid);
        if (kind === "killed" || kind === "exited" || kind === "absent") break;
        if (fromInside) throw cannotKill(pid, errnoName(-sent));
      }
    }
    tracee.end();
  }
}

/** Has a task kill itself, whatever this process may. */
function killFromInside({ pid, proc, remote }: FrozenTask): void {
  const program = new SyscallProgram(`the end of task ${pid}`);
  program.call("kill", proc.status.nsTgid.at(-1) ?? pid, SIG.KILL);
  remote.startAndForget(program);
}

function cannotKill(pid: number, errno: string): StasisError {
  return new StasisError("syscall", `task ${pid} was saved and cannot be ended: kill: ${errno}`, {
    pid,
    errno,
  });
}
