/**
 * Adjustments of semaphores (SEM_UNDO of semop(2)): what the kernel adds to a semaphore when a process ends. Nothing
 * tells of them, but they have limits, and semop(2) is all or nothing: several operations that together leave the
 * value as it is move the adjustment, and where that would pass its limit the call fails with ERANGE; an operation
 * behind them that cannot be done makes it fail with EAGAIN where it would not. Either way no value has changed, and
 * nobody can have seen another one, since the kernel holds the set's lock (`perform_atomic_semop_slow()` of
 * ipc/sem.c). But the task has a list of adjustments of that set from then on, if only of zeros, and when it ends
 * the set counts as used (sem_otime; find_alloc_undo() and exit_sem()): no set is asked for that cannot be held.
 * So the adjustment is found by bisection ({@link askAbove}), and set by operations that move it ({@link adjust}).
 *
 * @module
 */
import { IPC, SEM, SEMAPHORE_MAX, type SemaphoreOperation } from "../../core/linux/sysv_ipc.ts";

/** The least adjustment. */
export const LEAST_ADJUSTMENT: number = -SEMAPHORE_MAX - 1;

/**
 * Operations that move a process's adjustment and leave the value as it is.
 *
 * @param num which semaphore of the set
 * @param value what it is
 * @param by how far; an operation on a semaphore moves it the other way
 */
export function adjust(num: number, value: number, by: number): SemaphoreOperation[] {
  const operations: SemaphoreOperation[] = [];
  const room = SEMAPHORE_MAX - value;
  // The value has to stay within its limits meanwhile: up and down again, or down and up.
  const first = room >= value ? 1 : -1;
  for (let left = Math.abs(by); left > 0;) {
    const step = Math.min(left, Math.max(room, value));
    const undone = by > 0 ? -1 : 1;
    for (const sign of [first, -first]) {
      const flags = IPC.NOWAIT | (sign === undone ? SEM.UNDO : 0);
      operations.push({ num, op: sign * step, flags });
    }
    left -= step;
  }
  return operations;
}

/**
 * Operations that never can be done: semop(2) fails with ERANGE if the caller's adjustment is above a threshold, and
 * with EAGAIN if not.
 *
 * @param value the semaphore's; where it has changed meanwhile only the answer may be wrong ({@link settled})
 * @param threshold at least {@link LEAST_ADJUSTMENT}
 */
export function askAbove(num: number, value: number, threshold: number): SemaphoreOperation[] {
  return [
    ...adjust(num, value, SEMAPHORE_MAX - threshold),
    // Whatever the value is: it has to be 1 for the first, and is no 0 for the last then.
    ...[-1, 1, 0].map((op) => ({ num, op, flags: IPC.NOWAIT })),
  ];
}

/**
 * Whether a task of a tree may have an adjustment of a set: only what it has done counts, which is later than its
 * beginning. The time of day may have been set back, so the tree's own are asked for unless they never were used.
 *
 * @param used when an operation was last done (sem_otime), in seconds since 1970; 0 if never
 * @param since when the tree began, in the same
 */
export function mayBeHeld(
  { used, isOwn }: { readonly used: number; readonly isOwn: boolean },
  { since }: { readonly since: number },
): boolean {
  return isOwn ? used > 0 : used >= since;
}

/** How often a semaphore is asked for that others keep changing. */
const ROUNDS = 10;

/**
 * What is true of a semaphore that others may change before an answer that depends on its value.
 *
 * @param value reads the value
 * @param ask asks, told the value
 * @returns the answer that came twice in a row while the value was the same; undefined where none does
 */
export function settled(value: () => number, ask: (value: number) => boolean): boolean | undefined {
  let last: boolean | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const before = value();
    const answer = ask(before);
    if (value() !== before) continue;
    if (answer === last) return answer;
    last = answer;
  }
  return undefined;
}

/** A range that is halved until one adjustment is left in it. */
export class Bisection {
  /** The adjustment is above this. */
  #low = LEAST_ADJUSTMENT - 1;
  /** And not above this. */
  #high = SEMAPHORE_MAX;

  /** The threshold to be asked for next; undefined when it is known. */
  get threshold(): number | undefined {
    return this.#high - this.#low === 1 ? undefined : Math.floor((this.#low + this.#high) / 2);
  }

  /** The adjustment, when it is known. */
  get adjustment(): number {
    return this.#high;
  }

  /** Takes the answer for {@link threshold}. */
  take(isAbove: boolean): void {
    const { threshold } = this;
    if (threshold === undefined) return;
    if (isAbove) this.#low = threshold;
    else this.#high = threshold;
  }
}
