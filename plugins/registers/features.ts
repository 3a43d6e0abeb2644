/**
 * What this kernel can do about what it keeps of a thread.
 *
 * @module
 */
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { Feature } from "../../core/plugin.ts";

/** The lines of `stasis check`. */
export function registerFeatures(): readonly Feature[] {
  // A registration of nothing is refused with EINVAL, where there is such a call.
  const known = syscall(SYSCALLS.rseq, 0, 0, 0, 0) !== -38n;
  return [{
    name: "rseq",
    available: known,
    required: false,
    note: "restartable sequences of a target are saved where the kernel has them",
  }];
}
