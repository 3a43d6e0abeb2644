/**
 * A shadow: a process that has the memory of a stopped task as it is now, copy-on-write, while the task runs on. It is
 * the task's image by fork(2), and never runs a step of the task's code.
 *
 * The task is not to notice. A child of its own would be seen: in `/proc`, by wait4(2) with `__WALL`, by its end. So the
 * shadow is no child of it, but of one that has ended:
 *
 * ```text
 * task ── clone ──> bearer                   has the memory; traced like its maker, ends with the tool
 *                   bearer ── clone(CLONE_VM) ──> shadow    shares the bearer's memory, and is traced as well
 * task ── wait4 ──> bearer, which is killed                 the shadow is an orphan, for whoever reaps these
 * ```
 *
 * All of that happens while the task stands still. Both have the exit signal 0, so that no SIGCHLD is sent to the task;
 * and what the bearer leaves for its parent the task reaps then and there. Where the tool dies in between, the kernel
 * ends both (PTRACE_O_EXITKILL), and the guardian ends and reaps the bearer ({@link RemoteCalls.noteChild}).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { WALL, WNOHANG } from "../linux/ptrace.ts";
import { ScratchData, SyscallProgram } from "./program.ts";
import { RemoteTask } from "./remote_task.ts";
import { endSeed } from "./seed.ts";
import { finishStop } from "./stop_thread.ts";
import type { Tracee } from "./tracee.ts";
import { NO_CHILD } from "./undo.ts";

/** Of clone(2). */
const CLONE = { VM: 0x100, PTRACE: 0x2000, PARENT_SETTID: 0x100000 } as const;
const ALL_DESCRIPTORS = 0xffffffff;
const SCHED_OTHER = 0;
const PR_SET_NAME = 15;
/** The most of `oom_score_adj`. */
const MOST_OFFERED = "1000";
/** What a shadow is called (comm). */
export const SHADOW_NAME = "stasis-shadow";

/** Addresses of a task. */
export interface Range {
  readonly start: bigint;
  /** In bytes. */
  readonly size: bigint;
}

/** The memory of a task as it was at one moment. Disposing of it ends the process that has it. */
export class Shadow implements Disposable {
  /** Runs calls in it. It ends with this process. */
  readonly remote: RemoteTask;

  private constructor(remote: RemoteTask) {
    this.remote = remote;
  }

  /**
   * Makes one.
   *
   * @param task stands still, and is in this process's pid namespace
   * @param left ranges that the shadow is not to have
   * @throws {StasisError} `syscall` with the errno where the kernel makes no further process, or has no memory for it
   */
  static of(task: RemoteTask, left: readonly Range[], cancellation: Cancellation): Shadow {
    const remote = bear(task, cancellation);
    try {
      offerToOomKiller(remote.pid);
      setUp(remote, left);
      return new Shadow(remote);
    } catch (error) {
      end(remote);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    end(this.remote);
  }
}

function end({ pid, memory }: RemoteTask): void {
  memory[Symbol.dispose]();
  endSeed(pid);
}

/** @returns the shadow, which nobody is the parent of any more that made it */
function bear(task: RemoteTask, cancellation: Cancellation): RemoteTask {
  // What programs need is there from then on: none of the calls below is made by anybody else.
  const prepare = new SyscallProgram("a look at a task that gets a shadow");
  prepare.call("getpid");
  task.run(prepare);
  const word = task.sparePage;
  task.memory.write(word, new Uint8Array(Int32Array.of(NO_CHILD).buffer));
  const noted = task.noteChild(word);
  let bearer: RemoteTask | undefined;
  let shadow: RemoteTask;
  try {
    const program = new SyscallProgram(`a shadow of task ${task.pid}`);
    const flags = CLONE.PTRACE | CLONE.PARENT_SETTID;
    const born = program.try("clone", flags, 0, ScratchData.SPARE_PAGE, 0, 0);
    bearer = open(mustSucceed(task.run(program).result(born)), task, cancellation);
    shadow = open(
      mustSucceed(bearer.tryCall("clone", CLONE.VM | CLONE.PTRACE, 0, 0, 0, 0)),
      bearer,
      cancellation,
    );
  } catch (error) {
    try {
      reapBearer(task, word, bearer?.pid);
    } catch {
      // A task that was killed meanwhile can be asked for nothing; what has failed first says so.
    }
    noted?.erase();
    throw error;
  }
  try {
    reapBearer(task, word, bearer.pid);
    return shadow;
  } catch (error) {
    end(shadow);
    throw error;
  } finally {
    noted?.erase();
  }
}

function mustSucceed(result: bigint): number {
  if (!isErrno(result)) return Number(result);
  const errno = errnoName(-result);
  throw new StasisError("syscall", `no process can be made that holds the memory: ${errno}`, {
    errno,
  });
}

/** Takes a process that a stopped one has made with CLONE_PTRACE. */
function open(
  pid: number,
  { leader, instruction }: RemoteTask,
  cancellation: Cancellation,
): RemoteTask {
  const options = leader.options;
  let tracee: Tracee | undefined;
  try {
    tracee = finishStop(pid, pid, options, cancellation);
    tracee?.endWithTool(true);
  } catch (error) {
    endSeed(pid);
    throw error;
  }
  if (tracee !== undefined) {
    return new RemoteTask(tracee, [], instruction, {
      pid,
      tid: (tid) => tid,
    });
  }
  throw new StasisError(
    "no-such-task",
    `the process ${pid}, which was to hold the memory, was killed at its birth`,
    { pid },
  );
}

/**
 * Ends what bore the shadow, if it came to that, and has its parent reap it.
 *
 * @param known its pid, where that is known; it stands in the word as soon as there is one
 */
function reapBearer(task: RemoteTask, word: RemoteTask["sparePage"], known?: number): void {
  // It can be ended whatever has become of its parent.
  if (known !== undefined) endSeed(known);
  task.leader.quiesce();
  const pid = known ?? new DataView(task.memory.read(word, 4).buffer).getInt32(0, true);
  if (pid === NO_CHILD) return;
  if (known === undefined) endSeed(pid);
  // It is a zombie by now, and nobody's tracee.
  task.tryUndoCall("wait4", pid, 0, WALL | WNOHANG, 0);
}

/**
 * Has the OOM killer take a shadow before anything else. Nobody shares its memory any more: the value would be theirs as
 * well (`__set_oom_adj()` of `fs/proc/base.c`).
 */
function offerToOomKiller(pid: number): void {
  try {
    Deno.writeTextFileSync(`/proc/${pid}/oom_score_adj`, MOST_OFFERED, { create: false });
  } catch {
    // It is as good as its maker then: the file is not ours to write, or the shadow has been killed, which shows.
  }
}

/** Has a shadow keep nothing but memory, and get no signals of its maker's groups. */
function setUp(remote: RemoteTask, left: readonly Range[]): void {
  const program = new SyscallProgram("the shadow");
  program.call("setsid");
  program.try("sched_setscheduler", 0, SCHED_OTHER, program.data(new Uint8Array(4), "sched_param"));
  program.call("prctl", PR_SET_NAME, SHADOW_NAME, 0, 0, 0);
  program.call("close_range", 0, ALL_DESCRIPTORS, 0);
  program.try("chdir", "/");
  for (const { start, size } of left) program.call("munmap", start, size);
  remote.run(program);
}
