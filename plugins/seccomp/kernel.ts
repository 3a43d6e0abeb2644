/**
 * What the kernel tells a tracer of a thread's filters: PTRACE_SECCOMP_GET_FILTER (Linux 4.4, with
 * CONFIG_CHECKPOINT_RESTORE) and PTRACE_SECCOMP_GET_METADATA (4.16). Both want CAP_SYS_ADMIN in the initial user
 * namespace and a tracer that has no seccomp itself.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../../core/linux/errno.ts";
import { ptraceData } from "../../core/linux/libc_ffi.ts";
import { PTRACE } from "../../core/linux/ptrace.ts";
import { ptraceOfEach } from "../../core/linux/ptrace_many.ts";
import { onceNeeded, Sweep } from "../../core/linux/sweep.ts";
import { defineStruct } from "../../core/linux/struct.ts";
import { INSTRUCTION_SIZE } from "./bpf.ts";
import type { Filter, FilterPool } from "./chain.ts";

/** `struct seccomp_metadata` (`include/uapi/linux/ptrace.h`). */
const seccompMetadata = defineStruct("seccomp_metadata", 16, {
  filter_off: [0, "u64"],
  flags: [8, "u64"],
});

/** The largest filter: BPF_MAXINSNS instructions. */
const buffer = new Uint8Array(4096 * INSTRUCTION_SIZE);
const ENOENT = 2n;

/**
 * The filters of a stopped thread, the oldest first: the order in which the kernel counts them.
 *
 * @returns none for a thread that is not in filter mode
 */
export function readFilters(tid: number, pool: FilterPool): Filter[] {
  const found: Filter[] = [];
  for (let index = 0n;; index++) {
    const length = ptraceData(PTRACE.SECCOMP_GET_FILTER, BigInt(tid), index, buffer);
    if (length === -ENOENT) return found;
    // Not in filter mode; also what a kernel without the request says, where SUSPEND_SECCOMP fails as well.
    if (length === -BigInt(Errno.EINVAL) && index === 0n) return found;
    if (isErrno(length)) throw refused("PTRACE_SECCOMP_GET_FILTER", tid, -length);
    const bytes = buffer.subarray(0, Number(length) * INSTRUCTION_SIZE);
    found.push(pool.intern(bytes, readFlags(tid, index)));
  }
}

const counting = onceNeeded(() =>
  // Without room for it, the kernel tells the length of the oldest filter.
  new Sweep([ptraceOfEach(PTRACE.SECCOMP_GET_FILTER, 0, 0)])
);

/** The stopped threads of these that are in filter mode, or of which that is not known. */
export function findFiltered(tids: readonly number[]): number[] {
  const filtered: number[] = [];
  counting().run(tids, {
    look(tid, { result }) {
      if (result(0) !== -Errno.EINVAL && result(0) !== -Number(ENOENT)) filtered.push(tid);
    },
  });
  return filtered;
}

/** The flags that the kernel tells of a filter: LOG is the only one. */
function readFlags(tid: number, index: bigint): number {
  const metadata = seccompMetadata.make({ filter_off: index });
  const result = ptraceData(
    PTRACE.SECCOMP_GET_METADATA,
    BigInt(tid),
    BigInt(metadata.length),
    metadata,
  );
  if (isErrno(result)) throw refused("PTRACE_SECCOMP_GET_METADATA", tid, -result);
  return Number(seccompMetadata.read(metadata).flags);
}

function refused(request: string, tid: number, number: bigint): StasisError {
  const errno = errnoName(number);
  const what = `the seccomp filters of thread ${tid} cannot be read: ${request}: ${errno}`;
  if (errno === "ESRCH") return new StasisError("no-such-task", what, { pid: tid, errno });
  if (errno === "EACCES") {
    return new StasisError("no-privilege", what, { pid: tid, errno, hint: PRIVILEGE_HINT });
  }
  return new StasisError("kernel-too-old", what, {
    pid: tid,
    errno,
    hint: "it takes Linux 4.16 or later, built with CONFIG_CHECKPOINT_RESTORE",
  });
}

/** What to do where the kernel refuses for want of privilege. */
export const PRIVILEGE_HINT =
  "run the tool as root of the machine (CAP_SYS_ADMIN outside of user namespaces) and itself " +
  "without seccomp: not inside a container that has a seccomp profile";
