/**
 * That the calling thread does not wait for processors: others wait for it.
 *
 * @module
 */
import { isErrno } from "./errno.ts";
import { syscall } from "./libc_ffi.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** Policies (`include/uapi/linux/sched.h`): the usual ones, and the one that goes before all of these. */
const SCHED_OTHER = 0, SCHED_BATCH = 3, SCHED_RR = 2;
const USUAL: readonly number[] = [SCHED_OTHER, SCHED_BATCH];
/** What it starts meanwhile has the usual policy. */
const RESET_ON_FORK = 0x40000000;
const LOWEST = 1, NONE = 0;
/** The limit on how long a real-time thread may run in one go, behind which it gets SIGXCPU (getrlimit(2)). */
const RLIMIT_RTTIME = 15, UNLIMITED = 0xffffffffffffffffn;

/** How many threads are waited for at the most: 1,000 stop later than without it, since they need this processor, too. */
const MOST_AWAITED = 256;

function setPolicy(policy: number, priority: number): boolean {
  const param = new Uint8Array(Int32Array.of(priority).buffer);
  return !isErrno(syscall(SYSCALLS.sched_setscheduler, 0, policy, param));
}

function mayRunOn(): boolean {
  const limits = new BigUint64Array(2);
  const result = syscall(SYSCALLS.prlimit64, 0, RLIMIT_RTTIME, 0, new Uint8Array(limits.buffer));
  return !isErrno(result) && limits[0] === UNLIMITED;
}

/**
 * For as long as it lasts, the calling thread has the lowest real-time priority (sched(7)), where it may have it
 * (CAP_SYS_NICE, RLIMIT_RTPRIO) and has a usual policy.
 */
export class Urgency implements Disposable {
  readonly #before: number | undefined;

  /** @param threads how many stand still for it: of very many it does nothing */
  constructor(threads: number) {
    if (threads > MOST_AWAITED || !mayRunOn()) return;
    const policy = Number(syscall(SYSCALLS.sched_getscheduler, 0));
    // The flag stays where it could not be taken away.
    if (!USUAL.includes(policy & ~RESET_ON_FORK)) return;
    if (setPolicy(SCHED_RR | RESET_ON_FORK, LOWEST)) this.#before = policy;
  }

  /** Its nice value has stayed what it was. */
  [Symbol.dispose](): void {
    if (this.#before === undefined || setPolicy(this.#before, NONE)) return;
    // Who has real-time priority by RLIMIT_RTPRIO alone keeps that of its children.
    setPolicy(this.#before | RESET_ON_FORK, NONE);
  }
}
