/**
 * First threads that have ended while others of their process live: how one is made to end so again. It has made the
 * task before (`plan.ts`).
 *
 * It ends by itself, let go of: the kernel would tell its end to a tracer alone, and that only after the ends of all
 * others (delay_group_leader() of `kernel/exit.c`), so for as long as this process lived the parent of the task could
 * not be told of the task's.
 *
 * @module
 */
import type { core_entry } from "../../images/gen/thread_pb.ts";
import { defineStruct } from "../linux/struct.ts";
import { SyscallProgram } from "../remote/program.ts";

const PR_SET_NAME = 15, PR_SET_SECCOMP = 22, PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2;
const SIGNAL_BITS = 0x7f;

/** `struct sock_fprog` (`include/uapi/linux/filter.h`), of one instruction: BPF_RET of SECCOMP_RET_KILL_THREAD. */
const sockFprog = defineStruct("sock_fprog", 16, { len: [0, "u16"], filter: [8, "u64"] });
const KILL_THREAD = Uint8Array.of(0x06, 0, 0, 0, 0, 0, 0, 0);

/** Adds what waitid(2) and `/proc` tell of a thread that has ended: its name and its ids. */
export function planIdentity(program: SyscallProgram, core: core_entry | undefined): void {
  if (core?.tc !== undefined) program.call("prctl", PR_SET_NAME, core.tc.comm, 0, 0, 0);
  const creds = core?.threadCore?.creds;
  if (creds === undefined) return;
  // A user namespace may lack the ids that it had.
  program.try("setresgid", creds.gid, creds.egid, creds.sgid);
  program.try("setresuid", creds.uid, creds.euid, creds.suid);
}

/**
 * What ends a first thread alone.
 *
 * @param core its core image
 * @param status the wait status: an exit code, or a signal, which is SIGSYS and comes by a verdict on its calls
 */
export function leaderEnd(core: core_entry, status: number): SyscallProgram {
  const program = new SyscallProgram(`the end of thread ${core.tc?.comm ?? ""}`);
  planIdentity(program, core);
  if ((status & SIGNAL_BITS) !== 0) {
    program.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const fprog = program.data(sockFprog.make({ len: 1 }), "a filter that kills the thread")
      .point(8, program.data(KILL_THREAD, "BPF_RET"));
    program.call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0);
  }
  program.call("exit", (status >> 8) & 0xff);
  return program;
}
