/**
 * The guardian: a process that puts the targets of a checkpoint back as they were if the tool dies, whatever kills it.
 *
 * It is a seed (`core/remote/seed.ts`) in a session of its own that runs one syscall program, the rescue program
 * (`rescue_table.ts`). Its first call waits until the tool is dead: poll(2) of its pidfd, which the kernel wakes after
 * it has let go of the tool's tracees (`exit_notify()` of `kernel/exit.c`). What is to be done then the tool writes
 * into the guardian's memory while it works: first the note, then the change.
 *
 * Between the tool's death and the rescue no thread of a target may run on in a state that is not its own. So before
 * anything is changed, each is sent to a place where it can only wait (`Tracee.park()`), marked by a number in a
 * register that nobody else knows; the guardian sets back the registers of those alone that have it. A thread that
 * the tool had not got to yet, or had put back already, is stopped for a moment and let go.
 *
 * A second guardian waits for the end of both, of the tool and of the first guardian before that has done its work,
 * and then kills the targets: they must not wait for ever, nor run without their dispatch. Where all three are killed
 * at once, they do wait for ever, and run nothing of their own.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { offsetAddress, remoteAddress } from "../linux/address.ts";
import { Errno, isErrno } from "../linux/errno.ts";
import { CAP } from "../linux/capability.ts";
import { giveUpAction } from "../linux/interruptions.ts";
import { cString, syscall } from "../linux/libc_ffi.ts";
import type { ProcessMemory } from "../linux/memory.ts";
import { iovec } from "../linux/net/socket_ffi.ts";
import { hasThreadPidfds, PIDFD_THREAD } from "../linux/pidfd.ts";
import { readStatus } from "../linux/procfs/mod.ts";
import { waitForStop } from "../linux/ptrace.ts";
import { SIGSET_SIZE } from "../linux/sigaction.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { ALL_SIGNALS, SIG } from "../linux/signals.ts";
import { GIVE_UP_CODE } from "../linux/x86_64/interrupt_code.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { SyscallProgram } from "../remote/program.ts";
import { RemoteTask } from "../remote/remote_task.ts";
import { finishStop } from "../remote/stop_thread.ts";
import type { StandIn } from "../remote/stand_in.ts";
import type {
  CallUndo,
  ChildUndo,
  ListedCall,
  MemoryUndo,
  Noted,
  NotedThread,
  OutsideUndo,
  Rescuer,
  Substitute,
  ThreadUndo,
} from "../remote/undo.ts";
import { openSeed, SEED_OPTIONS, startSeed } from "../remote/seed.ts";
import { standApart } from "../remote/stand_apart.ts";
import { AliveWord } from "./alive_word.ts";
import { RescueNotes } from "./rescue_notes.ts";
import { TABLE_ADDRESS, tableAddress } from "./rescue_entries.ts";
import { ENTRY_POINTS, makeHead, TABLE_SIZE } from "./rescue_table.ts";

const PR_SET_NAME = 15;
/** What PTRACE_O_SUSPEND_SECCOMP takes (`check_ptrace_options()` of `kernel/ptrace.c`). */
const CAP_TO_SUSPEND = CAP.SYS_ADMIN;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1, MAP_FIXED_NOREPLACE = 0x100000, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000;
/** Of clone(2): the new process is a child of the tool, and stopped and traced like its maker. */
const CLONE_PARENT_PTRACE = 0x8000 | 0x2000;
/** The descriptors of the guardians. */
const FD = { tool: 0, timer: 1, standIn: 2, first: 3 } as const;
const CLOCK_MONOTONIC = 1;
/** Where in its page of code a guardian has the handler that ends the waiting of PTRACE_SEIZE. */
const GIVE_UP_AT = 2048;

/** The command line of the guardians of a tool. */
export function guardianName(tool: number): readonly string[] {
  return ["stasis-guardian", `of ${tool}`];
}

/** A pair of guardians. Disposing of it ends them: all is well, or has been undone. */
export class Guardian implements Rescuer, Disposable {
  readonly mark: bigint;
  readonly pids: readonly number[];
  /** The table, which both have: through whichever of them lives. */
  readonly #memories: readonly ProcessMemory[];
  readonly #notes: RescueNotes;
  #alive: AliveWord | undefined;
  #ended = false;

  private constructor(
    pids: readonly number[],
    memories: readonly ProcessMemory[],
    readonly substitute: Substitute | undefined,
  ) {
    this.pids = pids;
    this.#memories = memories;
    this.mark = crypto.getRandomValues(new BigUint64Array(1))[0] as bigint;
    this.#notes = new RescueNotes(this.mark, (at, bytes) => this.#write(at, bytes));
  }

  /**
   * Starts one, for this process.
   *
   * @param targets processes that it may have to trace
   * @param standIn makes calls in them that must not be made while this process is the tracer
   * @throws {StasisError} `no-privilege` if it may not, `syscall`
   */
  static start(targets: readonly number[], standIn?: StandIn): Guardian {
    const pids: number[] = [];
    const memories: ProcessMemory[] = [];
    try {
      const first = startSeed(undefined, guardianName(Deno.pid));
      pids.push(first.pid);
      const remote = openSeed(first);
      memories.push(remote.memory);
      mustBeAbleToTrace(targets, remote);
      const second = prepare(remote, standIn?.pid);
      pids.push(second);
      const other = takeSecond(second, remote);
      memories.push(other.memory);
      remote.memory.write(
        remoteAddress(TABLE_ADDRESS),
        makeHead(FD, second),
      );
      const { address } = remote.keepScratch();
      for (
        const [{ leader }, entry] of [
          [remote, ENTRY_POINTS.first],
          [other, ENTRY_POINTS.second],
        ] as const
      ) {
        leader.registers.set("ip", address).set("orig_ax", -1n).set("bx", entry)
          .set("r12", ENTRY_POINTS.tail).set("r13", ENTRY_POINTS.alive);
        leader.signalMask = ALL_SIGNALS;
        leader.release();
      }
      return new Guardian(pids, memories, standIn);
    } catch (error) {
      end(pids, memories);
      // It is not the target that is gone.
      const died = error instanceof StasisError && error.code === "no-such-task";
      throw died ? wasKilled(error) : error;
    }
  }

  noteThreads(undos: readonly ThreadUndo[]): NotedThread[] {
    return this.#notes.noteThreads(undos);
  }

  noteCall(undo: CallUndo): Noted {
    return this.#notes.noteCall(undo);
  }

  noteChild(undo: ChildUndo): Noted {
    return this.#notes.noteChild(undo);
  }

  noteMemory(undo: MemoryUndo): Noted {
    return this.#notes.noteMemory(undo);
  }

  noteOutside(undo: OutsideUndo): Noted {
    return this.#notes.noteOutside(undo);
  }

  noteEnd(calls: readonly ListedCall[]): Noted {
    return this.#notes.noteEnd(calls);
  }

  noteSignal(pid: number, tid: number, info: Siginfo): Noted {
    return this.#notes.noteSignal(pid, tid, info);
  }

  /** Notes a process, to be killed where the tree is to be ended whole. */
  noteProcess(pid: number): Noted {
    return this.#notes.noteProcess(pid);
  }

  /** From now on the tree is ended whole if the tool dies and this file is there by then. */
  endTreeIf(path: string): void {
    this.#notes.endTreeIf(cString(path));
  }

  /**
   * From now on these processes are left stopped if the tool dies and this file is there by then: all of them.
   *
   * @param processes each with the thread of it that the tool lets go of last
   */
  stopTreeIf(
    path: string,
    processes: readonly { readonly pid: number; readonly tid: number }[],
  ): void {
    for (const { pid, tid } of processes) this.#notes.noteStop(pid, tid);
    this.#notes.stopTreeIf(cString(path));
  }

  get aliveWord(): number {
    return (this.#alive ??= new AliveWord()).fd;
  }

  [Symbol.dispose](): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#alive?.[Symbol.dispose]();
    end(this.pids, this.#memories);
    this.#notes.forget();
  }

  #write(at: number, bytes: Uint8Array): void {
    for (const memory of this.#memories) {
      try {
        return memory.write(remoteAddress(tableAddress(at)), bytes);
      } catch (error) {
        // A guardian that was killed has no memory any more. The table lives on in the other one, and what is
        // noted there still matters: the second one kills what the first can not rescue.
        if (!(error instanceof StasisError)) throw error;
      }
    }
    throw wasKilled();
  }
}

function wasKilled(cause?: unknown): StasisError {
  return new StasisError("syscall", "the guardian of the checkpoint was killed", {
    hint: "something ends processes here: see who, and try again",
    cause,
  });
}

/**
 * Tries the guardian's right to trace the targets, by a read that asks for the same (PTRACE_MODE_ATTACH_REALCREDS) and
 * leaves them alone. It may have less than this process: what the file of its program gives does not pass on, and
 * security modules look at who is whose child (Yama).
 *
 * @throws {StasisError} `no-privilege`
 */
function mustBeAbleToTrace(targets: readonly number[], remote: RemoteTask): void {
  const program = new SyscallProgram("the right to trace targets");
  const byte = program.output(1, "byte");
  const here = program.data(iovec.make({ len: 1n }), "iovec").point(0, byte);
  // Nothing is mapped there: who may look is told EFAULT.
  const there = program.data(iovec.make({ len: 1n }), "iovec");
  const looks = targets.map((pid) =>
    [
      pid,
      program.try("process_vm_readv", pid, here, 1, there, 1, 0),
    ] as const
  );
  const reply = remote.run(program);
  for (const [pid, look] of looks) {
    if (reply.result(look) === -BigInt(Errno.EPERM)) throw mayNotTrace(`task ${pid}`);
  }
  const [own = 0n, theirs = 0n] = [Deno.pid, remote.pid]
    .map((pid) => readStatus(pid).caps.effective & CAP_TO_SUSPEND);
  if (own !== theirs) throw mayNotTrace("what is under seccomp filters");
}

function mayNotTrace(whom: string): StasisError {
  return new StasisError(
    "no-privilege",
    `the guardian, which rescues targets if this tool dies, may not trace ${whom}`,
    {
      hint:
        "run as root: capabilities that the file of a program gives (setcap), and rights over its own " +
        "children (kernel.yama.ptrace_scope), do not pass to the processes that it starts",
    },
  );
}

/**
 * Gives the first guardian its session, descriptors and table, and has it make the second.
 *
 * @param standIn the pid of whoever traces threads in this process's place
 * @returns the pid of the second
 */
function prepare(remote: RemoteTask, standIn: number | undefined): number {
  const { address: code } = remote.keepScratch();
  remote.memory.write(offsetAddress(code, GIVE_UP_AT), GIVE_UP_CODE);
  const program = new SyscallProgram("the guardian");
  standApart(program);
  program.call("prctl", PR_SET_NAME, "stasis-guardian", 0, 0, 0);
  const [tool, thread] = tracer();
  program.expect(BigInt(FD.tool), "pidfd_open", tool, thread);
  program.expect(BigInt(FD.timer), "timerfd_create", CLOCK_MONOTONIC, 0);
  // Without one there is no other end to wait for.
  program.expect(
    BigInt(FD.standIn),
    "pidfd_open",
    ...standIn === undefined ? [tool, thread] : [standIn, 0],
  );
  program.call("rt_sigaction", SIG.ALRM, giveUpAction(code + BigInt(GIVE_UP_AT)), 0, SIGSET_SIZE);
  const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  program.call("mmap", TABLE_ADDRESS, TABLE_SIZE, PROT_READ_WRITE, flags, -1, 0);
  const born = program.call("clone", CLONE_PARENT_PTRACE, 0, 0, 0, 0);
  return Number(remote.run(program).result(born));
}

/**
 * Whose end the guardian waits for: that of the very thread that traces targets, where the kernel can tell it
 * (Linux 6.9), since it may end before its process; otherwise that of the process.
 *
 * @returns the id, and the flags of pidfd_open(2)
 */
function tracer(): readonly [id: bigint | number, flags: number] {
  const tid = syscall(SYSCALLS.gettid);
  return hasThreadPidfds() ? [tid, PIDFD_THREAD] : [Deno.pid, 0];
}

/** Takes the second guardian, and gives it what it waits for besides. */
function takeSecond(pid: number, first: RemoteTask): RemoteTask {
  const tracee = finishStop(pid, pid, SEED_OPTIONS);
  if (tracee === undefined) throw wasKilled();
  const remote = new RemoteTask(tracee, [], first.instruction, { pid, tid: (tid) => tid });
  const { address, size } = first.keepScratch();
  remote.adoptScratch(address, size);
  const program = new SyscallProgram("the second guardian");
  program.expect(BigInt(FD.first), "pidfd_open", first.pid, 0);
  remote.run(program);
  return remote;
}

/**
 * Kills the guardians and reaps them, the second one first: where the first has ended without having done its work,
 * the second kills the targets when the tool ends. One that must not be killed is left alone, and those before it as
 * well: when this process ends, they have nothing to do and end by themselves.
 */
function end(pids: readonly number[], memories: readonly ProcessMemory[]): void {
  for (const memory of memories) memory[Symbol.dispose]();
  for (const pid of [...pids].reverse()) {
    const sent = syscall(SYSCALLS.kill, pid, SIG.KILL);
    if (isErrno(sent) && sent !== -BigInt(Errno.ESRCH)) return;
    for (let kind = ""; !["killed", "exited", "absent"].includes(kind);) {
      kind = waitForStop(pid).kind;
    }
  }
}
