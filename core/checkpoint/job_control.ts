/**
 * Job control: whether the parent of a stopped task has been told of the stop already (by wait(2) with
 * WUNTRACED), and that of one that goes on again of that (WCONTINUED): each is told once. It is asked by an injected
 * waitid(2) that leaves the report where it is.
 *
 * CRIU's images have no field for it, and do not use `exit_code` of a task that lives: there the wait
 * status stands that the parent has yet to get, or 0.
 *
 * @module
 */
import { CONTINUED_STATUS, TASK_STOPPED } from "../../images/flags.ts";
import type { FrozenTask } from "../plugin.ts";
import type { SyscallProgram } from "../remote/program.ts";
import type { ProgramReply } from "../remote/program_reply.ts";

const P_PID = 1;
const WSTOPPED = 2, WCONTINUED = 8;
/** Leave it, do not wait, and look at children with any exit signal: WNOHANG, WNOWAIT, __WALL. */
const PEEK = 0x1 | 0x01000000 | 0x40000000;

/**
 * Adds calls that ask a parent what it has yet to be told of its children.
 *
 * @returns what notes it in their core images
 */
export function askReports(
  program: SyscallProgram,
  children: readonly FrozenTask[],
): (reply: ProgramReply) => void {
  const queries = children.map((child) => {
    const kind = isStopped(child) ? WSTOPPED : WCONTINUED;
    const info = program.output(128);
    return { child, info, call: program.try("waitid", P_PID, child.pid, info, kind | PEEK, 0) };
  });
  return (reply) => {
    for (const { child, info, call } of queries) {
      const signalled = new DataView(reply.output(info).slice().buffer).getInt32(0, true) !== 0;
      const { tc } = child.leader.core;
      if (tc === undefined || reply.result(call) !== 0n || !signalled) continue;
      tc.exitCode = isStopped(child) ? ((tc.stopSigno ?? 0) << 8) | 0x7f : CONTINUED_STATUS;
    }
  };
}

function isStopped({ leader }: FrozenTask): boolean {
  return leader.core.tc?.taskState === TASK_STOPPED;
}
