/**
 * A process that has duplicates of what lies in queues of a tree (SCM_RIGHTS), while that stands still. It outlives this
 * one until the guardian has ended: what was changed by way of such a duplicate, and is no task's, can still be undone.
 *
 * @module
 */
import { LAST_STANDARD_STREAM } from "./outside_holders.ts";
import { PTRACE_O } from "../linux/ptrace.ts";
import { SyscallProgram } from "../remote/program.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import { endSeed, openSeed, SEED_OPTIONS, startSeed } from "../remote/seed.ts";
import { standApart } from "../remote/stand_apart.ts";

/** Without EXITKILL: it goes on when this process is dead. */
const OPTIONS = SEED_OPTIONS & ~PTRACE_O.EXITKILL;
/** For how long it waits for each of the guardians, in seconds: they take milliseconds, as a rule. */
const PATIENCE = 30n;
const POLLIN = 1;
/** The number of a pidfd of this process: the lowest, where nothing is open. Those of the guardians are behind it. */
const TOOL = 0;

/** Disposing of it ends the process. */
export class InFlightKeeper implements Disposable {
  readonly #remote: RemoteTask;
  /** Its numbers of what it keeps. */
  readonly numbers: readonly number[];

  private constructor(remote: RemoteTask, numbers: readonly number[]) {
    this.#remote = remote;
    this.numbers = numbers;
  }

  /**
   * Starts one.
   *
   * @param descriptors of this process
   * @param guardians the pids of those that it waits for, two at the most
   * @throws {StasisError} `syscall`, `no-such-task`
   */
  static start(descriptors: readonly number[], guardians: readonly number[]): InFlightKeeper {
    const tracee = startSeed(undefined, ["stasis-keeper", `of ${Deno.pid}`]);
    try {
      const remote = openSeed(tracee);
      const take = new SyscallProgram("the keeper of descriptors in flight");
      standApart(take);
      // In place of standard streams, which nothing in a queue is to be taken for.
      for (let stream = 0; stream <= LAST_STANDARD_STREAM; stream++) {
        take.call("pidfd_open", guardians[stream - 1] ?? Deno.pid, 0);
      }
      const taken = descriptors.map((fd) => take.call("pidfd_getfd", TOOL, fd, 0));
      const reply = remote.run(take);
      const wait = new SyscallProgram("the wait for the end of this process, and of the guardians");
      const which = (fd: number) =>
        wait.data(new Uint8Array(Int32Array.of(fd, POLLIN).buffer), `pidfd ${fd}`);
      wait.call("ppoll", which(TOOL), 1, 0, 0, 0);
      for (const index of guardians.keys()) {
        const time = new Uint8Array(BigInt64Array.of(PATIENCE, 0n).buffer);
        wait.call("ppoll", which(TOOL + 1 + index), 1, wait.data(time, `${PATIENCE} s`), 0, 0);
      }
      wait.call("exit_group", 0);
      remote.start([{ thread: tracee, program: wait }], OPTIONS);
      return new InFlightKeeper(remote, taken.map((call) => Number(reply.result(call))));
    } catch (error) {
      endSeed(tracee.pid);
      throw error;
    }
  }

  /** Its process id. */
  get pid(): number {
    return this.#remote.pid;
  }

  [Symbol.dispose](): void {
    this.#remote.memory[Symbol.dispose]();
    endSeed(this.pid);
  }
}
