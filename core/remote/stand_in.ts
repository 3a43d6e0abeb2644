/**
 * The stand-in: a process that traces a thread in this tool's place while a call is made in it.
 *
 * What lets calls be made under seccomp filters (or under dispatch, by the kernel series) is suspended only for as long
 * as the thread is traced. Programs look before each call whether the tool lives (`core/guardian/alive_word.ts`); but
 * the calls that bring them there cannot, and one that was on its way when the tool died would meet the filters, which
 * may kill for it. So these are made while the stand-in is the tracer: it does not die with the tool, comes to the end
 * of the call that it has begun, sends the thread back to where it waits, and only then ends and lets go of it. The
 * guardian waits for that.
 *
 * Between two calls it traces nobody.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { decodeStatus, PTRACE, PTRACE_O, WALL } from "../linux/ptrace.ts";
import { Siginfo } from "../linux/siginfo.ts";
import { Registers } from "../linux/x86_64/registers.ts";
import { type ScratchData, SyscallProgram } from "./program.ts";
import type { ProgramReply } from "./program_reply.ts";
import { awaitNews, reapOthers } from "./reap.ts";
import type { RemoteTask } from "./remote_task.ts";
import { endSeed, openSeed, SEED_OPTIONS, startSeed } from "./seed.ts";
import { standApart } from "./stand_apart.ts";
import { throwIfFailed } from "./started_runs.ts";
import type { Substitute, SubstitutedCall, SubstitutedEnd } from "./undo.ts";

/** What PTRACE_GET_SYSCALL_INFO returns at a call's entry: the size of what it tells (`kernel/ptrace.c`). */
const ENTRY_INFO = 80n;
/** Without EXITKILL: it goes on when this process is dead. */
const OPTIONS = SEED_OPTIONS & ~PTRACE_O.EXITKILL;

/** Disposing of it ends the process. */
export class StandIn implements Substitute, Disposable {
  readonly #remote: RemoteTask;
  #isThere = true;

  private constructor(remote: RemoteTask) {
    this.#remote = remote;
  }

  /** Starts one, for this process. @throws {StasisError} `syscall`, `no-such-task` */
  static start(): StandIn {
    const tracee = startSeed(undefined, ["stasis-stand-in", `of ${Deno.pid}`]);
    try {
      const remote = openSeed(tracee);
      const program = new SyscallProgram("the stand-in");
      // It dies with this process until it begins the first call, by the option of ptrace.
      standApart(program);
      remote.run(program);
      return new StandIn(remote);
    } catch (error) {
      endSeed(tracee.pid);
      throw error;
    }
  }

  get pid(): number {
    return this.#remote.pid;
  }

  get isThere(): boolean {
    return this.#isThere;
  }

  run(call: SubstitutedCall): SubstitutedEnd {
    const { program, read } = substitute(call);
    const { leader } = this.#remote;
    try {
      const started = this.#remote.start([{ thread: leader, program }], OPTIONS);
      // It may wait for the end of a first thread, which is told when this process has reaped the others.
      awaitNews(leader.tid, () => reapOthers(call.pid));
      return read(started.replies()[0] as ProgramReply);
    } catch (cause) {
      if (!(cause instanceof StasisError && cause.code === "no-such-task")) throw cause;
      this.#isThere = false;
      throw new StasisError("syscall", "the stand-in of the checkpoint was killed", {
        hint: "something ends processes here: see who, and try again",
        cause,
      });
    }
  }

  [Symbol.dispose](): void {
    this.#remote.memory[Symbol.dispose]();
    endSeed(this.pid);
  }
}

/**
 * The program by which a thread that waits is traced, makes a call, waits again, and is let go. All such programs are
 * laid out alike: should this process die while it writes the next one, the stand-in goes on where the last one has
 * ended, and finds there what it did before.
 */
function substitute({ pid, tid, options, waiting, registers }: SubstitutedCall): {
  readonly program: SyscallProgram;
  readonly read: (reply: ProgramReply) => SubstitutedEnd;
} {
  const program = new SyscallProgram(`a call in thread ${tid}`);
  const words = ({ words }: Registers) => new Uint8Array(words.slice().buffer);
  const [call, rest] = [program.data(words(registers)), program.data(words(waiting))];
  const found = program.output(words(registers));
  const ask = (request: bigint, data: Parameters<typeof program.try>[1] = 0) =>
    program.try("ptrace", request, tid, 0, data);
  /** Where it stops: what wait4(2) tells, and the signal that it is about to take, if that is why it has stopped. */
  const stops: { readonly status: ScratchData; readonly info: ScratchData }[] = [];
  const awaitStop = (): void => {
    const status = program.output(8, "status"), info = program.output(Siginfo.SIZE, "siginfo");
    program.try("wait4", tid, status, WALL, 0);
    ask(PTRACE.GETSIGINFO, info);
    stops.push({ status, info });
  };

  program.call("ptrace", PTRACE.SEIZE, tid, 0, options | PTRACE_O.TRACESYSGOOD);
  ask(PTRACE.INTERRUPT);
  awaitStop();
  // One in a group-stop stands in it already when it is seized, and stops once more for being asked. Asked again while it
  // surely stands it stops exactly once more, and then nothing is left that would stop it before its call.
  ask(PTRACE.INTERRUPT);
  ask(PTRACE.CONT);
  awaitStop();
  ask(PTRACE.SETREGS, call);
  ask(PTRACE.SYSCALL);
  awaitStop();
  const stopped = ask(PTRACE.GET_SYSCALL_INFO);
  program.tryWhere(stopped, ENTRY_INFO, "ptrace", PTRACE.SYSCALL, tid, 0, 0);
  program.tryWhere(stopped, ENTRY_INFO, "wait4", tid, 0, WALL, 0);
  ask(PTRACE.GETREGS, found);
  ask(PTRACE.SETREGS, rest);
  ask(PTRACE.DETACH);
  program.beginSequel();
  program.call("exit_group", 0);

  const read = (reply: ProgramReply): SubstitutedEnd => {
    throwIfFailed(reply, pid, tid);
    return {
      isMade: reply.result(stopped) >= ENTRY_INFO,
      registers: new Registers(new BigUint64Array(reply.output(found).slice().buffer)),
      signals: stops.flatMap(({ status, info }) => {
        const word = new DataView(reply.output(status).slice().buffer).getInt32(0, true);
        if (decodeStatus(word).kind !== "signal") return [];
        return [new Siginfo(reply.output(info).slice())];
      }),
    };
  };
  return { program, read };
}
