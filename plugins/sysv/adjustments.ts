/**
 * The adjustments (SEM_UNDO) of the tasks of a frozen tree: each task that has a list of them is asked by semop(2)
 * calls that never can be done (`undo.ts`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno } from "../../core/linux/errno.ts";
import { KCMP, kcmp } from "../../core/linux/kcmp.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { encodeOperations, semaphoreValue, semaphoreValues } from "../../core/linux/sysv_ipc.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { Collected, FrozenTask, FrozenThread } from "../../core/plugin.ts";
import { type CallResult, SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";
import { askAbove, Bisection, settled } from "./undo.ts";

const CLONE_SYSVSEM = 0x40000;

/** A set of semaphores that tasks may have adjustments of. */
export interface AskedSet {
  readonly id: number;
  readonly count: number;
  /** Whether the tree is known to use it. */
  readonly isOwn: boolean;
}

/** A semaphore. */
interface Place {
  readonly set: number;
  readonly isOwn: boolean;
  readonly num: number;
  readonly value: number;
}

/** What a task gives back when it ends. */
export interface Adjustment {
  readonly pid: number;
  readonly set: number;
  readonly num: number;
  readonly adjustment: number;
}

/** Asks the tasks of one tree. */
export class Adjustments {
  readonly #note: (text: string) => void;
  /** The semaphores, read once: nothing of the tree runs. */
  #places: readonly Place[] | undefined;
  /** What a task has adjustments of, as yet unknown ones. */
  readonly #found = new Map<FrozenTask, readonly Place[]>();

  constructor(note: (text: string) => void) {
    this.#note = note;
  }

  /**
   * Adds calls that tell whether a thread has adjustments. Threads share those of their process, unless somebody has
   * made them without CLONE_SYSVSEM.
   *
   * @throws {StasisError} `unsupported`, by what is returned, of a thread that has its own
   */
  ask(
    thread: FrozenThread,
    sets: readonly AskedSet[],
    program: SyscallProgram,
  ): Collected | undefined {
    if (sets.length === 0) return undefined;
    const { tid, task } = thread;
    const { pid, leader } = task;
    if (thread !== leader && kcmp(leader.tid, tid, KCMP.SYSVSEM) === 0) return undefined;
    if (!hasList(tid)) return undefined;
    this.#places ??= sets.flatMap(placesOf);
    const asked = this.#places.map((place) => ({
      place,
      // It is 0 if it is above -1 and not above 0.
      isPositive: askFor(program, place, 0),
      isNegative: askFor(program, place, -1),
    }));
    return (reply) => {
      const unknown = new Set<number>();
      const found = asked.filter(({ place, isPositive, isNegative }) => {
        const above = isAbove(reply, isPositive), least = isAbove(reply, isNegative);
        if (place.isOwn && (above === undefined || least === undefined)) unknown.add(place.set);
        return above === true || least === false;
      }).map(({ place }) => place);
      if (unknown.size > 0) {
        this.#note(
          `task ${tid} may not use the System V semaphores ${
            [...unknown].join(", ")
          } any more: what it may ` +
            "still hold of them with SEM_UNDO cannot be asked for",
        );
      }
      if (found.length === 0) return;
      if (thread === leader) this.#found.set(task, found);
      else if (found.some(({ isOwn }) => isOwn)) {
        throw refuseShared(pid, `thread ${tid} has adjustments of its own`);
      } else this.#note(`thread ${tid} ${mayHold(found)}`);
    };
  }

  /**
   * Finds them.
   *
   * @throws {StasisError} `unsupported` where two tasks have the same ones, or one has some of a stranger's set
   */
  find(): readonly Adjustment[] {
    const adjustments = [...this.#found].flatMap(([task, places]) => {
      this.#refuseForeign(task, places.filter(({ isOwn }) => !isOwn));
      return bisect(task, places.filter(({ isOwn }) => isOwn));
    });
    const holders = new Set(adjustments.map(({ pid }) => pid));
    const tasks = [...this.#found.keys()].filter(({ pid }) => holders.has(pid));
    tasks.forEach(({ pid, leader }, index) => {
      const other = tasks.slice(index + 1).find((one) =>
        kcmp(leader.tid, one.leader.tid, KCMP.SYSVSEM) === 0
      );
      if (other !== undefined) throw refuseShared(pid, `it shares adjustments with ${other.pid}`);
    });
    return adjustments;
  }

  /** Others may have changed the values of these meanwhile, so each is asked for again. */
  #refuseForeign(task: FrozenTask, places: readonly Place[]): void {
    const unsettled = places.filter((place) => {
      const isHeld = isHeldNow(task, place);
      if (isHeld !== true) return isHeld === undefined;
      throw new StasisError(
        "unsupported",
        `task ${task.pid} holds the System V semaphores ${place.set} of others with SEM_UNDO, which cannot be saved`,
        { pid: task.pid, hint: "try again when it has given them back" },
      );
    });
    if (unsettled.length > 0) this.#note(`task ${task.pid} ${mayHold(unsettled)}`);
  }
}

/**
 * Whether a thread has a list of adjustments, which it gets with the first SEM_UNDO or a thread that shares it.
 *
 * What has none is told by this thread's having none. Each thread that is made here gives it one (copy_semundo() of
 * ipc/sem.c), so it lets go of that each time; where it may not, all threads seem to have one, and are asked.
 */
export function hasList(tid: number): boolean {
  syscall(SYSCALLS.unshare, CLONE_SYSVSEM);
  return kcmp(Number(syscall(SYSCALLS.gettid)), tid, KCMP.SYSVSEM) !== 0;
}

/** Whether a task has an adjustment of a semaphore that others use; undefined where that does not settle. */
function isHeldNow(task: FrozenTask, place: Place): boolean | undefined {
  return settled(() => valueOf(place), (value) => {
    const program = new SyscallProgram("the adjustment of a semaphore");
    const isPositive = askFor(program, { ...place, value }, 0);
    const isNegative = askFor(program, { ...place, value }, -1);
    const reply = task.remote.run(program);
    return isAbove(reply, isPositive) === true || isAbove(reply, isNegative) === false;
  });
}

/** The value of a semaphore that others may have removed by now: whoever asks for it is told so then. */
function valueOf({ set, num }: Place): number {
  try {
    return semaphoreValue(set, num);
  } catch (error) {
    if (error instanceof StasisError) return 0;
    throw error;
  }
}

function mayHold(places: readonly Place[]): string {
  const sets = [...new Set(places.map(({ set }) => set))].join(", ");
  return `may hold the System V semaphores ${sets} of others with SEM_UNDO, which is not saved`;
}

/** Finds the adjustments that a task has of the tree's semaphores, whose values nobody changes. */
function bisect(task: FrozenTask, found: readonly Place[]): Adjustment[] {
  const places = found.map((place) => ({ place, bisection: new Bisection() }));
  for (;;) {
    const program = new SyscallProgram("the adjustments of semaphores");
    const asked = places.flatMap(({ place, bisection }) => {
      const { threshold } = bisection;
      if (threshold === undefined) return [];
      return [{ bisection, call: askFor(program, place, threshold) }];
    });
    if (asked.length === 0) break;
    const reply = task.remote.run(program);
    for (const { bisection, call } of asked) bisection.take(isAbove(reply, call) === true);
  }
  return places.map(({ place: { set, num }, bisection: { adjustment } }) => ({
    pid: task.pid,
    set,
    num,
    adjustment,
  })).filter(({ adjustment }) => adjustment !== 0);
}

function placesOf({ id, count, isOwn }: AskedSet): Place[] {
  try {
    return semaphoreValues(id, count).map((value, num) => ({ set: id, isOwn, num, value }));
  } catch (error) {
    // A stranger's, removed meanwhile or not ours to look at.
    if (!isOwn && error instanceof StasisError) return [];
    throw error;
  }
}

function askFor(
  program: SyscallProgram,
  { set, num, value }: Place,
  threshold: number,
): CallResult {
  const operations = askAbove(num, value, threshold);
  return program.try("semop", set, program.data(encodeOperations(operations)), operations.length);
}

/** What a call says; undefined where the task may not use the set, or it is gone. */
function isAbove(reply: ProgramReply, call: CallResult): boolean | undefined {
  const result = -reply.result(call);
  return result === BigInt(Errno.ERANGE)
    ? true
    : result === BigInt(Errno.EAGAIN)
    ? false
    : undefined;
}

function refuseShared(pid: number, what: string): StasisError {
  return new StasisError(
    "unsupported",
    `task ${pid}: ${what} of System V semaphores (SEM_UNDO), which cannot be saved`,
    { pid, hint: "have the program use semaphores without SEM_UNDO there" },
  );
}
