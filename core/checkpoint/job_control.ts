/**
 * Job control: whether the parent of a stopped task has been told of the stop already (by wait(2) with
 * WUNTRACED). It is asked by an injected waitid(2) that leaves the report where it is.
 *
 * CRIU's images have no field for it, and do not use `exit_code` of a task that lives: there the wait
 * status stands that the parent has yet to get, or 0.
 *
 * @module
 */
import { TASK_STOPPED } from "../../images/flags.ts";
import type { FrozenTask } from "../plugin.ts";
import { type CallResult, type ScratchData, SyscallProgram } from "../remote/program.ts";

const P_PID = 1;
/** WSTOPPED | WNOHANG | WNOWAIT. */
const PEEK_STOPPED = 0x2 | 0x1 | 0x01000000;

/** Notes in the core image of each stopped task what its parent has yet to be told. */
export function recordStopReports(tasks: readonly FrozenTask[]): void {
  const byPid = new Map(tasks.map((task) => [task.pid, task]));
  const stopped = tasks.filter(({ leader }) => leader.core.tc?.taskState === TASK_STOPPED);
  const asked = new Map<FrozenTask, FrozenTask[]>();
  for (const task of stopped) {
    const parent = byPid.get(task.proc.stat.ppid);
    if (parent !== undefined) asked.set(parent, [...asked.get(parent) ?? [], task]);
  }
  for (const [parent, children] of asked) {
    const program = new SyscallProgram("looking for stopped children");
    const queries = children.map((child): [FrozenTask, CallResult, ScratchData] => {
      const info = program.output(128);
      return [child, program.try("waitid", P_PID, child.pid, info, PEEK_STOPPED, 0), info];
    });
    const reply = parent.remote.run(program);
    for (const [child, call, info] of queries) {
      const signalled = new DataView(reply.output(info).slice().buffer).getInt32(0, true) !== 0;
      const { tc } = child.leader.core;
      if (tc === undefined || reply.result(call) !== 0n || !signalled) continue;
      tc.exitCode = ((tc.stopSigno ?? 0) << 8) | 0x7f;
    }
  }
}
