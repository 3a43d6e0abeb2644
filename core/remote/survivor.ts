/**
 * Running a program that must come to its end once it has begun, whatever becomes of the tool: in a process of its own
 * that does not die with it.
 *
 * @module
 */
import type { Cancellation } from "../cancellation.ts";
import { isErrno } from "../linux/errno.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { PTRACE_O, setOptions } from "../linux/ptrace.ts";
import { SIG } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { SyscallProgram } from "./program.ts";
import type { ProgramReply } from "./program_reply.ts";
import { throwIfFailed } from "./started_runs.ts";
import { endSeed, openSeed, PR_SET_PDEATHSIG, SEED_OPTIONS, startSeed } from "./seed.ts";

const RLIMIT_CPU = 0;
/** Behind its last call it waits for the tool; if that is dead, for the end of so much processor time, in seconds. */
const LAST_SECONDS = 2n;

/**
 * Runs a program so.
 *
 * @param descriptor of this process, which that one gets
 * @param make makes the program, told the number of that descriptor there
 * @param leave told the reply and that number, may add calls to one more program, which may wait for ever: a child of
 *   that process, which nobody traces, runs it and ends, and this function does not wait for it
 * @returns the first program's reply, also where a call has failed
 * @throws {StasisError} `syscall`, `no-such-task`
 */
export function runSurviving(
  descriptor: number,
  make: (descriptor: number) => SyscallProgram,
  leave: (reply: ProgramReply, descriptor: number, program: SyscallProgram) => void = () => {},
  cancellation?: Cancellation,
): ProgramReply {
  const tracee = startSeed(cancellation, ["stasis-survivor", `of ${Deno.pid}`]);
  const { pid } = tracee;
  try {
    const remote = openSeed(tracee);
    const preparation = new SyscallProgram("the process that survives this one");
    preparation.call("setsid");
    preparation.call("prctl", PR_SET_PDEATHSIG, 0, 0, 0, 0);
    const tool = preparation.call("pidfd_open", Deno.pid, 0);
    const got = preparation.call("pidfd_getfd", tool, descriptor, 0);
    const there = Number(remote.run(preparation).result(got));
    const program = make(there);
    const limit = new Uint8Array(BigUint64Array.of(LAST_SECONDS, LAST_SECONDS).buffer);
    syscall(SYSCALLS.prlimit64, pid, RLIMIT_CPU, limit, 0);
    setOptions(pid, SEED_OPTIONS & ~PTRACE_O.EXITKILL);
    const [reply] = remote.start([{ thread: tracee, program }]).replies() as [ProgramReply];
    const rest = new SyscallProgram("a process that is left behind");
    // All signals are blocked there, as they are while a program runs.
    const child = rest.call("clone", SIG.CHLD, 0, 0, 0, 0);
    // To the child that is PRIO_PROCESS; to the parent a pid, and so an error: it stops here.
    rest.call("getpriority", child, 0);
    const own = rest.calls.length;
    leave(reply, there, rest);
    if (rest.calls.length > own) {
      rest.call("exit_group", 0);
      const [left] = remote.start([{ thread: tracee, program: rest }]).replies() as [ProgramReply];
      if (isErrno(left.result(child))) throwIfFailed(left, pid);
    }
    return reply;
  } finally {
    endSeed(pid);
  }
}
