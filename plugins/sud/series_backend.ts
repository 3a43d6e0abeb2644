/**
 * The patch series of `kernel/patches`: PTRACE_O_SUSPEND_SYSCALL_USER_DISPATCH suspends dispatch for as
 * long as the thread is traced with it, a line in `/proc` tells whether it is armed, and a prctl getter,
 * injected, tells how. Whatever ends the tracing ends the suspension: nothing can stay off by mistake.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { readStatus } from "../../core/linux/procfs/mod.ts";
import { PTRACE_O } from "../../core/linux/ptrace.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import type { SudBackend } from "./backend.ts";
import { sudConfig } from "./config.ts";

/** The getter of the series. */
export const PR_GET_SYSCALL_USER_DISPATCH = 0x53554447;
const PR_SET_SYSCALL_USER_DISPATCH = 59;

function suspend(tracee: Tracee): void {
  const result = tracee.addOptions(PTRACE_O.SUSPEND_SYSCALL_USER_DISPATCH);
  if (!isErrno(result)) return;
  const errno = errnoName(-result);
  throw new StasisError(
    "kernel-too-old",
    `thread ${tracee.tid}: PTRACE_O_SUSPEND_SYSCALL_USER_DISPATCH is refused: ${errno}`,
    { pid: tracee.pid, errno, hint: "the patched kernel needs CONFIG_CHECKPOINT_RESTORE" },
  );
}

/** The back end. */
export const seriesBackend: SudBackend = {
  name: "series",
  description: "the patch series of kernel/patches",
  usable: true,
  mayNeedTracer: ({ status }) => status.syscallUserDispatch === true,
  suspend(threads) {
    for (const { tracee } of threads) {
      const { pid, tid } = tracee;
      // Between the end of the suspension and the guardian's there must be no call.
      if (readStatus(pid, tid).syscallUserDispatch === true) {
        tracee.endWithTool();
        tracee.needsTracer = true;
      }
      suspend(tracee);
    }
  },
  read(program) {
    const config = program.output(sudConfig.size, "config");
    const call = program.try("prctl", PR_GET_SYSCALL_USER_DISPATCH, config, 0, 0, 0);
    return (reply) => {
      const result = reply.result(call);
      if (!isErrno(result)) return sudConfig.read(reply.output(config));
      const errno = errnoName(-result);
      throw new StasisError("syscall", `PR_GET_SYSCALL_USER_DISPATCH failed: ${errno}`, { errno });
    };
  },
  prepare: suspend,
  planArm(program, { mode, offset, len, selector }) {
    program.call("prctl", PR_SET_SYSCALL_USER_DISPATCH, mode, offset, len, selector);
  },
};
