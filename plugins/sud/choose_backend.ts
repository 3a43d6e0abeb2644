/**
 * Which of the three ways to Syscall User Dispatch the running kernel has.
 *
 * @module
 */
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { kernelAtLeast, readKernelRelease, readStatus } from "../../core/linux/procfs/mod.ts";
import type { SudBackend } from "./backend.ts";
import { noBackend } from "./none_backend.ts";
import { ptraceBackend } from "./ptrace_backend.ts";
import { seriesBackend } from "./series_backend.ts";

/** The first kernel that has the ptrace requests. */
const PTRACE_REQUESTS = [6, 4] as const;
/** The first kernel that has the inclusive mode. */
const INCLUSIVE_MODE = [6, 17] as const;

/** The back end of this kernel. */
export function chooseBackend(): SudBackend {
  if (kernelAtLeast(readKernelRelease(), ...PTRACE_REQUESTS)) return ptraceBackend;
  const hasSeries = readStatus(Deno.pid).syscallUserDispatch !== undefined;
  return hasSeries && hasCheckpointRestore() ? seriesBackend : noBackend();
}

const PR_GET_TID_ADDRESS = 40;

/** Whether the kernel has CONFIG_CHECKPOINT_RESTORE, as a prctl tells that depends on it (kernel/sys.c). */
function hasCheckpointRestore(): boolean {
  return syscall(SYSCALLS.prctl, PR_GET_TID_ADDRESS, new Uint8Array(8), 0, 0, 0) === 0n;
}

/** Whether this kernel knows the inclusive mode. */
export function hasInclusiveMode(): boolean {
  return kernelAtLeast(readKernelRelease(), ...INCLUSIVE_MODE);
}
