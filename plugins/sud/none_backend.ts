/**
 * Linux 5.11 to 6.3 without the series: dispatch can neither be suspended nor read. All that can be done
 * is to see that it is on, and refuse.
 *
 * A selector that says ALLOW at the freeze hides it from a probe. So on these kernels a task with a
 * handler for SIGSYS is refused too: it may have dispatch, and would silently lose it.
 *
 * @module
 */
import { StasisError } from "../../core/errors.ts";
import { mappingKind } from "../../core/linux/procfs/mod.ts";
import { SIG, signalBit } from "../../core/linux/signals.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { remoteAddress } from "../../core/linux/address.ts";
import type { StoppedThread } from "../../core/plugin.ts";
import type { SudBackend } from "./backend.ts";

const HINT = "boot Linux 6.4 or later, or one with the series of kernel/patches";

/** The back end. */
export const noBackend: SudBackend = {
  name: "none",
  description: "nothing: this kernel cannot suspend Syscall User Dispatch",
  usable: false,
  suspend(thread) {
    const { tid, tracee, proc, sharedPending } = thread;
    const instruction = findInstruction(thread);
    if (instruction !== undefined && tracee.isDispatched(instruction, sharedPending)) {
      throw new StasisError(
        "kernel-too-old",
        `thread ${tid} of task ${proc.pid} uses Syscall User Dispatch, which this kernel cannot suspend`,
        { pid: proc.pid, hint: HINT },
      );
    }
    if ((proc.status.sigCaught & signalBit(SIG.SYS)) !== 0n) {
      throw new StasisError(
        "kernel-too-old",
        `task ${proc.pid} handles SIGSYS, and this kernel cannot tell whether it uses Syscall User Dispatch`,
        { pid: proc.pid, hint: HINT },
      );
    }
    return undefined;
  },
};

/** The system call instruction of the vDSO. */
function findInstruction({ proc }: StoppedThread): bigint | undefined {
  const vdso = proc.vmas.find((vma) => mappingKind(vma) === "vdso");
  if (vdso === undefined) return undefined;
  using memory = new ProcessMemory(proc.pid);
  const bytes = memory.read(remoteAddress(vdso.start), Number(vdso.end - vdso.start));
  for (let at = bytes.indexOf(0x0f); at >= 0; at = bytes.indexOf(0x0f, at + 1)) {
    if (bytes[at + 1] === 0x05) return vdso.start + BigInt(at);
  }
  return undefined;
}
