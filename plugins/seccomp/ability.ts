/**
 * Whether this process may suspend and read the seccomp of others.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { CAP } from "../../core/linux/capability.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { readStatus, type TaskStatus } from "../../core/linux/procfs/mod.ts";
import { PTRACE_O } from "../../core/linux/ptrace.ts";
import { Tracee } from "../../core/remote/tracee.ts";
import { endSeed, startSeed } from "../../core/remote/seed.ts";
import { PRIVILEGE_HINT } from "./kernel.ts";

const KERNEL_HINT = "boot a kernel with CONFIG_CHECKPOINT_RESTORE and CONFIG_SECCOMP";

/**
 * Why the kernel will not let this process suspend seccomp.
 *
 * @param own the tool's own status
 * @param uidMap its `/proc/self/uid_map`
 * @returns half a sentence; undefined if it will
 */
export function inability(
  own: Pick<TaskStatus, "seccomp" | "caps">,
  uidMap: string,
): string | undefined {
  if ((own.seccomp ?? 0) !== 0) return "this tool is under seccomp itself";
  if ((own.caps.effective & CAP.SYS_ADMIN) === 0n) return "this tool has no CAP_SYS_ADMIN";
  // The kernel asks for the capability in the initial user namespace, which maps every id to itself.
  if (!/^\s*0\s+0\s+4294967295\s*$/.test(uidMap)) {
    return "this tool is in a user namespace, and its CAP_SYS_ADMIN counts in there alone";
  }
  return undefined;
}

/** What keeps this process from suspending seccomp. */
export interface Inability {
  /** Half a sentence. */
  readonly why: string;
  /** What to do about it. */
  readonly hint: string;
}

/** What this process lacks for suspending seccomp. Costs two small files. */
export function missingPrivilege(): Inability | undefined {
  const why = inability(readStatus(Deno.pid), Deno.readTextFileSync("/proc/self/uid_map"));
  return why === undefined ? undefined : { why, hint: PRIVILEGE_HINT };
}

/**
 * What this process lacks for suspending seccomp, or else this kernel: that is tried on a process made for it, which
 * costs some milliseconds.
 *
 * @returns undefined if it can
 */
export function ownInability(): Inability | undefined {
  const privilege = missingPrivilege();
  if (privilege !== undefined) return privilege;
  let seed: Tracee | undefined;
  try {
    seed = startSeed();
    const result = seed.addOptions(PTRACE_O.SUSPEND_SECCOMP);
    if (!isErrno(result)) return undefined;
    const errno = errnoName(-result);
    return { why: `this kernel refuses PTRACE_O_SUSPEND_SECCOMP: ${errno}`, hint: KERNEL_HINT };
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    return { why: error.message, hint: error.hint ?? PRIVILEGE_HINT };
  } finally {
    if (seed !== undefined) endSeed(seed.pid);
  }
}

/**
 * Suspends the seccomp of a stopped thread, until that is removed or the tracing ends.
 *
 * @param needed whether the thread has or will have any; a refusal does not matter where it has not
 * @returns whether it is suspended
 * @throws {StasisError} `no-privilege`, or `kernel-too-old`
 */
export function suspend(tracee: Tracee, needed: () => boolean): boolean {
  return isSuspended(tracee, tracee.addOptions(PTRACE_O.SUSPEND_SECCOMP), needed);
}

/** The same for many threads; where they have seccomp, their options are to be noted. @returns those that are suspended */
export function suspendAll<T extends { readonly tracee: Tracee }>(
  threads: readonly T[],
  needed: (thread: T) => boolean,
): T[] {
  const tracees = threads.map(({ tracee }) => tracee);
  const results = Tracee.addOptionsToAll(tracees, PTRACE_O.SUSPEND_SECCOMP);
  return threads.filter((thread, index) =>
    isSuspended(thread.tracee, BigInt(results[index] as number), () => needed(thread))
  );
}

/** @param result of setting the option */
function isSuspended({ pid, tid }: Tracee, result: bigint, needed: () => boolean): boolean {
  if (!isErrno(result)) return true;
  if (!needed()) return false;
  const errno = errnoName(-result);
  const what = `the seccomp of thread ${tid} of task ${pid} cannot be suspended: ${errno}`;
  if (errno === "ESRCH") throw new StasisError("no-such-task", what, { pid, errno });
  if (errno === "EPERM") {
    const { why, hint } = missingPrivilege() ?? { hint: PRIVILEGE_HINT };
    throw new StasisError("no-privilege", why === undefined ? what : `${what}: ${why}`, {
      pid,
      errno,
      hint,
    });
  }
  throw new StasisError("kernel-too-old", what, { pid, errno, hint: KERNEL_HINT });
}
