/**
 * Registers, and what the kernel keeps of a thread at addresses that the thread gave it.
 *
 * | state | read by | image | brought back by |
 * |---|---|---|---|
 * | general registers, fs and gs base | PTRACE_GETREGS | `core.thread_info.gpregs` | armed: PTRACE_SETREGS at release |
 * | interrupted system calls | the restart code in them | the same, see `restart.ts` | the restart code |
 * | x87, SSE, AVX, AVX-512, PKRU | PTRACE_GETREGSET(NT_X86_XSTATE) | `fpregs`, see `xstate.ts` | armed: PTRACE_SETREGSET |
 * | TLS entries of the GDT | PTRACE_GET_THREAD_AREA | `thread_info.tls` | armed: PTRACE_SET_THREAD_AREA |
 * | robust futex list | get_robust_list(2) | `thread_core.futex_rla` | set_robust_list(2) |
 * | address cleared at the thread's end | prctl(PR_GET_TID_ADDRESS) | `thread_info.clear_tid_addr` | set_tid_address(2) |
 * | rseq(2) registration | PTRACE_GET_RSEQ_CONFIGURATION | `thread_core.rseq_entry` | rseq(2) |
 *
 * The extended registers are set last, with ptrace: nothing injected may run after it. The areas of
 * rseq(2) and of the robust list are registered when memory has its contents, since the kernel writes to
 * the one at once and walks the other if the thread dies.
 *
 * Refused: AMX tiles in use and shadow stacks (no field in the images), a local descriptor table
 * (modify_ldt(2), which the kernel tells only from inside), I/O ports (ioperm(2)).
 *
 * @module
 */
import { WAITS } from "../../images/kinds/time.ts";
import { definePlugin, type Plugin } from "../../core/plugin.ts";
import { dumpRegisters } from "./checkpoint.ts";
import { registerFeatures } from "./features.ts";
import { restoreRegisters } from "./restore.ts";

/** The plugin. */
export const registers: Plugin = definePlugin({
  name: "registers",
  description: "general and extended registers, interrupted calls, rseq, robust lists",
  check: registerFeatures,
  images: [WAITS],
  checkpoint: dumpRegisters,
  restore: restoreRegisters,
});
