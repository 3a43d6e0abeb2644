/**
 * The interface of the three ways to Syscall User Dispatch: `ptrace_backend.ts`, `series_backend.ts`,
 * `none_backend.ts`. `choose_backend.ts` chooses one.
 *
 * @module
 */
import type { Task } from "../../core/checkpoint/task.ts";
import type { StoppedThread, SurveyContext } from "../../core/plugin.ts";
import type { SyscallProgram } from "../../core/remote/program.ts";
import type { ProgramReply } from "../../core/remote/program_reply.ts";
import type { Tracee } from "../../core/remote/tracee.ts";
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
  /** Tells whether calls in a task may be possible only as long as it is traced. */
  mayNeedTracer?(task: Task): boolean;
  /**
   * Makes threads safe to inject into; their release brings back what they had.
   *
   * @param had is told of each that had any, where that can be told by then
   */
  suspend(
    threads: readonly StoppedThread[],
    had: (thread: StoppedThread, config: SudConfig) => void,
  ): void;
  /** Adds calls that read the configuration, where {@link suspend} could not. */
  read?(program: SyscallProgram): (reply: ProgramReply) => SudConfig;
  /** Makes a thread that is being built safe to inject into after it was armed. */
  prepare?(tracee: Tracee): void;
  /** Adds calls that arm it, for a back end that injects them. */
  planArm?(program: SyscallProgram, config: SudConfig): void;
  /** Arms it by ptrace, as the very last thing. */
  arm?(tid: number, config: SudConfig): void;
}
