/**
 * The three ways to Syscall User Dispatch, behind one interface, chosen by what the running kernel can do.
 *
 * @module
 */
import { syscall } from "../../core/linux/libc_ffi.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type { ProgramReply, SyscallProgram } from "../../core/remote/program.ts";
import type { StoppedThread, SurveyContext } from "../../core/plugin.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
import { kernelAtLeast, readKernelRelease, readStatus } from "../../core/linux/procfs/mod.ts";
import { noBackend } from "./none_backend.ts";
import { ptraceBackend } from "./ptrace_backend.ts";
import { seriesBackend } from "./series_backend.ts";
import type { SudConfig } from "./config.ts";

/** A way to suspend, read and arm dispatch, for one operation. */
export interface SudBackend {
  /** Its name, as `stasis check` shows it. */
  readonly name: "ptrace" | "series" | "none";
  /** What it is, for people. */
  readonly description: string;
  /** Whether programs with dispatch can be checkpointed with it. */
  readonly usable: boolean;
  /** Reports what cannot be suspended, as far as that can be told: before the freeze and after {@link suspend}. */
  survey?(tree: SurveyContext): void;
  /** Makes a thread safe to inject into, remembering what it had; `undo` brings it back. */
  suspend(thread: StoppedThread, undo: DisposableStack): SudConfig | undefined;
  /** Adds calls that read the configuration, where {@link suspend} could not. */
  read?(program: SyscallProgram): (reply: ProgramReply) => SudConfig;
  /** Makes a thread that is being built safe to inject into after it was armed. */
  prepare?(tracee: Tracee): void;
  /** Adds calls that arm it, for a back end that injects them. */
  planArm?(program: SyscallProgram, config: SudConfig): void;
  /** Arms it by ptrace, as the very last thing. */
  arm?(tid: number, config: SudConfig): void;
}

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
