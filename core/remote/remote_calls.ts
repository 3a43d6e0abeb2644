/**
 * Single system calls in a stopped task, and in many at the same time.
 *
 * They go through a `syscall` instruction that the target already has (the vDSO's), so nothing of the target's own code
 * is overwritten. In a target that is to survive the tool ({@link Shelter}) everything is noted before it is done. A
 * call ends at a waiting place there; for that some words of memory that the target does not use at that moment are
 * written to, and put back.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { offsetAddress, type RemoteAddress } from "../linux/address.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { ProcessMemory } from "../linux/memory.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { WALL } from "../linux/ptrace.ts";
import { formatArgument } from "../linux/strace.ts";
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { LANDING_WORDS } from "../linux/x86_64/waiting_code.ts";
import type { CallMany } from "./scratch_memory.ts";
import { Tracee } from "./tracee.ts";
import type { CallSite } from "./tracee_calls.ts";
import type { Noted, Rescuer, Substitute } from "./undo.ts";

/** What lets a task survive the tool's death while calls are made in it. Its threads are parked. */
export interface Shelter {
  readonly rescuer: Rescuer;
  /** The waiting place behind the call site, and memory for the words that lead there; absent where it has none. */
  readonly landing?: CallSite["landing"];
  /** Where a mapping of this size fits, if the task has room anywhere. */
  findRoom(size: bigint): RemoteAddress | undefined;
}

type Landing = NonNullable<CallSite["landing"]>;

/** The words that lead a call to the waiting place, while they stand in a target. */
interface Landed {
  readonly address: RemoteAddress;
  /** What else stands there. */
  readonly bytes: Uint8Array;
  readonly noted: Noted | undefined;
}

/** A stopped task in which single calls are made. */
export abstract class RemoteCalls {
  /** The thread group. */
  readonly pid: number;
  /** The task's memory. */
  readonly memory: ProcessMemory;
  /** The signals that wait for the whole task. */
  protected readonly sharedPending: readonly Siginfo[];
  protected readonly shelter: Shelter | undefined;
  #leader: Tracee;
  #instruction: RemoteAddress;
  /** Whether the words that lead a call to the waiting place stand in the target. */
  #landed = false;

  constructor(
    leader: Tracee,
    sharedPending: readonly Siginfo[],
    instruction: RemoteAddress,
    shelter: Shelter | undefined,
  ) {
    this.pid = leader.pid;
    this.memory = new ProcessMemory(leader.tid);
    this.sharedPending = sharedPending;
    this.shelter = shelter;
    this.#leader = leader;
    this.#instruction = instruction;
  }

  /** The thread that makes calls for the whole task. */
  get leader(): Tracee {
    return this.#leader;
  }
  protected set leader(thread: Tracee) {
    this.#leader = thread;
  }

  /** Where the target's `syscall` instruction lies. */
  get instruction(): RemoteAddress {
    return this.#instruction;
  }

  /** Says where the `syscall` instruction lies from now on (the vDSO was moved). */
  set instruction(address: RemoteAddress) {
    this.#instruction = address;
  }

  /** Code of programs and the word by which it sees whether the tracer lives, as soon as calls are to look. */
  protected abstract get watched(): CallSite["watched"];

  /** Whether all that they look at is there. */
  protected abstract get isPrepared(): boolean;

  /** Whether programs run in it. */
  protected abstract get isBusy(): boolean;

  /** Who makes the calls that cannot look yet whether this tool lives, and must not be made without it. */
  protected get substitute(): Substitute | undefined {
    if (this.isPrepared || !this.#leader.needsTracer) return undefined;
    // Without a place to wait for the guardian the thread ends with the tool.
    const substitute = this.shelter?.landing && this.shelter.rescuer.substitute;
    return substitute?.isThere ? substitute : undefined;
  }

  /**
   * One system call, without scratch memory.
   *
   * @returns the result, or the negative errno
   */
  tryCall(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.landing((landing) => this.#callAt(landing, name, ...args));
  }

  /**
   * The same for a call that takes something back, which is made even if nobody can be told any more of the words that
   * stand in the target meanwhile: that it is not made would be worse for it.
   */
  tryUndoCall(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.landing((landing) => {
      const substitute = this.substitute;
      try {
        return this.#callAt(landing, name, ...args);
      } catch (error) {
        if (substitute === undefined || substitute.isThere) throw error;
        // It may have been made already, and then finds nothing more to take back.
        return this.#callAt(landing, name, ...args);
      }
    }, true);
  }

  #callAt(landing: CallSite["landing"], name: SyscallName, ...args: (bigint | number)[]): bigint {
    const substitute = this.substitute;
    const site = { instruction: this.#instruction, landing, watched: this.watched, substitute };
    return this.leader.call(site, this.sharedPending, name, ...args);
  }

  /**
   * Has the words that lead a call to the waiting place stand in the target for as long as calls are made.
   *
   * @param isUndo whether the calls are made even where that cannot be noted
   */
  protected landing<T>(calls: (landing: CallSite["landing"]) => T, isUndo = false): T {
    const shelter = this.shelter;
    const landing = shelter?.landing;
    if (landing === undefined || this.#landed) return calls(landing);
    const landed = this.#beginLanding(landing, isUndo);
    try {
      return calls(landing);
    } finally {
      // It may stand behind its last call, from where the words lead on.
      this.leader.waitAgain();
      this.#endLanding(landed);
    }
  }

  #beginLanding({ stack, waiting }: Landing, isUndo: boolean): Landed {
    const address = offsetAddress(stack, -LANDING_WORDS * 8);
    const bytes = this.memory.read(address, 2 * LANDING_WORDS * 8);
    const noted = this.#noteLanding(address, bytes, isUndo);
    const words = new BigUint64Array(2 * LANDING_WORDS).fill(waiting);
    this.memory.write(address, new Uint8Array(words.buffer));
    this.#landed = true;
    return { address, bytes, noted };
  }

  #endLanding({ address, bytes, noted }: Landed): void {
    this.#landed = false;
    this.memory.write(address, bytes);
    noted?.erase();
  }

  /**
   * Has the words stand in many tasks while calls are made in all of them at the same time.
   *
   * @param tasks those that {@link canJoin}
   * @throws {StasisError} the first of what has failed; whatever that is, the words are taken back
   */
  protected static landInMany(
    tasks: readonly RemoteCalls[],
    isUndo: boolean,
    calls: (callMany: CallMany) => void,
  ): void {
    const landings = new Map<RemoteCalls, Landed>();
    const failures: unknown[] = [];
    const attempt = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        failures.push(error);
      }
    };
    attempt(() => {
      for (const task of tasks) {
        landings.set(task, task.#beginLanding(task.shelter?.landing as Landing, isUndo));
      }
      calls((name, made) => {
        const outcomes = Tracee.callAll(made.map(({ task, args }) => {
          const remote = task as RemoteCalls;
          return {
            thread: remote.leader,
            site: { instruction: remote.#instruction, landing: remote.shelter?.landing },
            sharedPending: remote.sharedPending,
            name,
            args,
          };
        }));
        const errors: unknown[] = [];
        outcomes.forEach((outcome, index) => {
          try {
            if (!("result" in outcome)) throw outcome.error;
            made[index]?.take(outcome.result);
          } catch (error) {
            errors.push(error);
          }
        });
        if (errors.length > 0) throw errors[0];
      });
    });
    attempt(() => Tracee.waitAgainAll([...landings.keys()].map(({ leader }) => leader)));
    for (const [task, landed] of landings) attempt(() => task.#endLanding(landed));
    if (failures.length > 0) throw failures[0];
  }

  /** Whether calls can be made in it as in others at the same time. */
  protected get canJoin(): boolean {
    return this.shelter?.landing !== undefined && !this.leader.needsTracer && !this.#landed &&
      !this.isBusy;
  }

  #noteLanding(address: RemoteAddress, bytes: Uint8Array, isUndo: boolean): Noted | undefined {
    const undo = { pid: this.pid, tid: this.leader.tid, address, bytes };
    try {
      return this.shelter?.rescuer.noteMemory(undo);
    } catch (error) {
      if (!(isUndo && error instanceof StasisError)) throw error;
      return undefined;
    }
  }

  /**
   * Notes that the task may have this descriptor on loan: it is closed should the tool die. To be noted before the
   * descriptor is opened, so only of one that the task has not got itself.
   */
  noteDescriptor(fd: number): Noted | undefined {
    return this.noteCall("close", fd);
  }

  /** Notes a call that is made in the task should the tool die. */
  noteCall(name: SyscallName, ...args: (bigint | number)[]): Noted | undefined {
    const registers = this.leader.callRegisters(this.#instruction, SYSCALLS[name], ...args);
    return this.shelter?.rescuer.noteCall({ pid: this.pid, tid: this.leader.tid, registers });
  }

  /** Notes a child whose id will stand in a word of the task: it is killed and reaped should the tool die. */
  noteChild(word: RemoteAddress): Noted | undefined {
    const registers = this.leader.callRegisters(this.#instruction, SYSCALLS.wait4, 0, 0, WALL, 0);
    const { pid, leader: { tid } } = this;
    return this.shelter?.rescuer.noteChild({ pid, tid, word, registers });
  }

  /** One system call that must succeed. @throws {StasisError} `syscall` */
  call(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.#mustSucceed(this.tryCall(name, ...args), name, args);
  }

  /** {@link tryUndoCall} of a call that must succeed. @throws {StasisError} `syscall` */
  undoCall(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.#mustSucceed(this.tryUndoCall(name, ...args), name, args);
  }

  #mustSucceed(result: bigint, name: SyscallName, args: readonly (bigint | number)[]): bigint {
    if (!isErrno(result)) return result;
    const errno = errnoName(-result);
    const printed = args.map((value, index) => formatArgument(name, index, BigInt(value)));
    throw new StasisError(
      "syscall",
      `${name}(${printed.join(", ")}) in task ${this.pid} failed: ${errno}`,
      { pid: this.pid, errno },
    );
  }
}
