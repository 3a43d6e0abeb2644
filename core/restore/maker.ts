/**
 * The task that makes what stays when all tasks are gone: System V objects, the names of message queues.
 *
 * It runs the seed's program, with the seed's descriptors. The seed is killed when the tool dies (PTRACE_O_EXITKILL),
 * and would be between a call that makes an object and any note of it. This task is not: it comes to the end of the
 * program, and stands still there until the tree runs. If the tool dies before, it goes on by itself, with the
 * program's sequel, which takes away what was made.
 *
 * @module
 */
import { PTRACE_O, waitForStop } from "../linux/ptrace.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { ProgramReply } from "../remote/program_reply.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import { throwIfFailed } from "../remote/started_runs.ts";
import { endSeed, SEED_OPTIONS } from "../remote/seed.ts";
import { makerProgram, type Removal, undoOf } from "./lasting_objects.ts";
import type { UndoingCall } from "./undoing_call.ts";

const PR_SET_NAME = 15;

/** Makes objects. */
export class Maker implements Disposable {
  readonly #remote: RemoteTask;
  readonly #removals: readonly Removal[];
  #undo: readonly UndoingCall[] = [];
  #hasBegun = false;

  /**
   * @param remote calls in the task, a twin of the seed that has just been born, whose programs no cancellation
   *   interrupts: a call that has made something must be known by its result
   */
  constructor(remote: RemoteTask, removals: readonly Removal[]) {
    this.#remote = remote;
    this.#removals = removals;
  }

  /** Has it run the program. @throws {StasisError} `syscall` if a call fails; then, too, it is to be disposed of */
  make(seed: SyscallProgram): void {
    const { leader: thread, pid } = this.#remote;
    // Whoever kills the tool with its process group leaves it alone.
    const session = new SyscallProgram("the maker's session");
    session.call("setsid");
    session.call("prctl", PR_SET_NAME, "stasis-maker", 0, 0, 0);
    this.#remote.run(session);
    const program = makerProgram(seed, this.#removals);
    this.#hasBegun = true;
    const options = SEED_OPTIONS & ~PTRACE_O.EXITKILL;
    const [reply] = this.#remote.start([{ thread, program }], options).replies() as [ProgramReply];
    throwIfFailed(reply, pid);
    this.#undo = undoOf(this.#removals, reply);
  }

  /** What takes away all that it has made. */
  get undo(): readonly UndoingCall[] {
    return this.#undo;
  }

  /** Ends it: the tree runs, or as good as. What was made stays. */
  end(): void {
    endSeed(this.#remote.pid);
    this.#remote.memory[Symbol.dispose]();
  }

  /** Has it take away what it has made, and waits for that. */
  [Symbol.dispose](): void {
    if (!this.#hasBegun) return this.end();
    this.#remote.leaveToSequel();
    for (;;) {
      const { kind } = waitForStop(this.#remote.pid);
      if (kind === "killed" || kind === "exited" || kind === "absent") return;
    }
  }
}
