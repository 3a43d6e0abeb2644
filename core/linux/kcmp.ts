/**
 * kcmp(2): whether two tasks share a kernel object, and an order of such objects.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import { GIVEN, Sweep, TID } from "./sweep.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** What is compared (`include/uapi/linux/kcmp.h`). */
export const KCMP = { FILE: 0, VM: 1, FILES: 2, FS: 3, SIGHAND: 4, SYSVSEM: 6 } as const;

/**
 * Compares an object of two tasks.
 *
 * @param indexA for {@link KCMP.FILE} the descriptor in the first task
 * @param indexB for {@link KCMP.FILE} the descriptor in the second task
 * @returns 0 if they are the same, -1 or 1 as an order that stays the same until the next boot
 * @throws {StasisError} `no-such-task` where one is gone, or one of the descriptors is closed (meanwhile); `syscall`, or
 *   `kernel-too-old` without CONFIG_KCMP
 */
export function kcmp(
  pidA: number,
  pidB: number,
  type: number,
  indexA = 0,
  indexB = 0,
): -1 | 0 | 1 {
  const result = syscall(SYSCALLS.kcmp, pidA, pidB, type, indexA, indexB);
  if (isErrno(result)) {
    const errno = errnoName(-result);
    if (errno === "EBADF" && type === KCMP.FILE) {
      const what = `descriptor ${indexA} of task ${pidA} or ${indexB} of task ${pidB}`;
      throw new StasisError("no-such-task", `${what} is closed meanwhile`, { pid: pidA, errno });
    }
    throw new StasisError(
      errno === "ENOSYS" ? "kernel-too-old" : errno === "ESRCH" ? "no-such-task" : "syscall",
      `tasks ${pidA} and ${pidB} cannot be compared: kcmp: ${errno}`,
      { pid: pidA, errno, hint: errno === "ENOSYS" ? "the kernel needs CONFIG_KCMP" : undefined },
    );
  }
  return kcmpOrder(result);
}

/** What kcmp(2) returned, as an order: 1 says that the first one comes before the second. */
export function kcmpOrder(result: bigint): -1 | 0 | 1 {
  if (result === 0n) return 0;
  return result === 1n ? -1 : 1;
}

/** Asks whether threads have objects of their own, or share those of the first one of their process. */
export class ThreadComparison {
  readonly #sweep: Sweep;

  /** @param types of {@link KCMP} */
  constructor(readonly types: readonly number[]) {
    this.#sweep = new Sweep(
      types.map((type) => ({ name: "kcmp", args: [GIVEN, TID, type, 0, 0] })),
    );
  }

  /**
   * Looks at threads of a process.
   *
   * @param look is told of each object that is not known to be shared: {@link kcmp} says why
   */
  compare(pid: number, tids: readonly number[], look: (tid: number, type: number) => void): void {
    this.#sweep.run(tids, {
      given: pid,
      look: (tid, { result }) =>
        this.types.forEach((type, index) => result(index) === 0 || look(tid, type)),
    });
  }
}

/** Where an object is among others, or where it belongs among them. */
export interface OrderedPlace {
  readonly index: number;
  /** Whether the object at `index` is the same. */
  readonly found: boolean;
}

/**
 * Looks for an object among others that are kept in kcmp's order: n objects are told apart by about n log n calls.
 *
 * @param ordered ascending
 * @param order how the object stands to one of them: 0 if it is the same
 */
export function findOrdered<T>(
  ordered: readonly T[],
  order: (other: T) => number,
): OrderedPlace {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const found = order(ordered[middle] as T);
    if (found === 0) return { index: middle, found: true };
    if (found < 0) high = middle;
    else low = middle + 1;
  }
  return { index: low, found: false };
}
