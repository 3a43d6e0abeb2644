/**
 * Job control: tasks that were stopped are stopped again, by the same signal, while all dispositions are
 * still the default ones. Calls can be injected into them all the same, and they are stopped when they
 * are let go. Parents that had been told of a stop are made to take the report again. A task that went on after a
 * stop, which its parent has yet to be told, is stopped and let go on again.
 *
 * @module
 */
import { CONTINUED_STATUS, TASK_ALIVE, TASK_STOPPED } from "../../images/flags.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { SIG, signalBit } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { beginGroupStop, joinGroupStop } from "../remote/job_control.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { BuiltTask } from "./built_task.ts";

const P_PID = 1;
/** WSTOPPED | WNOHANG | __WALL. */
const TAKE_STOPPED = 0x2 | 0x1 | 0x40000000;

/** Whether a task is to be stopped. */
export function isToBeStopped({ plan }: BuiltTask): boolean {
  return plan?.core.tc?.taskState === TASK_STOPPED;
}

/**
 * Stops those tasks of a tree that are to be stopped; children come before their parents.
 *
 * @param isMeant which of them are looked at
 */
export function stopTasks(
  tasks: readonly BuiltTask[],
  isMeant: (task: BuiltTask) => boolean,
): void {
  const byPid = new Map(tasks.map((task) => [task.pid, task]));
  for (const task of [...tasks].reverse()) {
    if (!isMeant(task)) continue;
    const { pid, plan } = task;
    const tc = plan?.core.tc;
    if (tc?.taskState === TASK_ALIVE && tc.exitCode === CONTINUED_STATUS) goOnAgain(task);
    if (plan === undefined || tc?.taskState !== TASK_STOPPED) continue;
    stop(task, tc.stopSigno || SIG.STOP);
    const parent = byPid.get(plan.entry.ppid);
    if (parent === undefined || tc.exitCode !== 0) continue;
    const program = new SyscallProgram(`taking the report of stopped task ${pid}`);
    program.call("waitid", P_PID, pid, 0, TAKE_STOPPED, 0);
    parent.remote.run(program);
  }
}

function stop({ remote, threads }: BuiltTask, signal: number): void {
  beginGroupStop(remote.leader, signal, []);
  for (const tracee of threads.values()) if (tracee !== remote.leader) joinGroupStop(tracee);
}

/** The kernel makes the report when the stop ends; SIGCONT waits then, since everything is blocked. */
function goOnAgain(task: BuiltTask): void {
  const { pid, remote } = task;
  stop(task, SIG.STOP);
  syscall(SYSCALLS.kill, remote.pid, SIG.CONT);
  const program = new SyscallProgram(`taking SIGCONT of task ${pid}`);
  const set = new Uint8Array(BigUint64Array.of(signalBit(SIG.CONT)).buffer);
  program.call("rt_sigtimedwait", set, 0, new Uint8Array(16), 8);
  remote.run(program);
}
