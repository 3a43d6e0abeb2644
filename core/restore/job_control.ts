/**
 * Job control: tasks that were stopped are stopped again, by the same signal, while all dispositions are
 * still the default ones. Calls can be injected into them all the same, and they are stopped when they
 * are let go. Parents that had been told of a stop are made to take the report again.
 *
 * @module
 */
import { TASK_STOPPED } from "../../images/flags.ts";
import { SIG } from "../linux/signals.ts";
import { beginGroupStop, joinGroupStop } from "../remote/job_control.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { BuiltTask } from "./built_task.ts";

const P_PID = 1;
/** WSTOPPED | WNOHANG. */
const TAKE_STOPPED = 0x2 | 0x1;

/** Stops those tasks of a tree that are to be stopped; children come before their parents. */
export function stopTasks(tasks: readonly BuiltTask[]): void {
  const byPid = new Map(tasks.map((task) => [task.pid, task]));
  for (const { pid, plan, remote, threads } of [...tasks].reverse()) {
    const tc = plan?.core.tc;
    if (plan === undefined || tc?.taskState !== TASK_STOPPED) continue;
    beginGroupStop(remote.leader, tc.stopSigno || SIG.STOP, []);
    for (const tracee of threads.values()) if (tracee !== remote.leader) joinGroupStop(tracee);
    const parent = byPid.get(plan.entry.ppid);
    if (parent === undefined || tc.exitCode !== 0) continue;
    const program = new SyscallProgram(`taking the report of stopped task ${pid}`);
    program.call("waitid", P_PID, pid, 0, TAKE_STOPPED, 0);
    parent.remote.run(program);
  }
}
