/**
 * Linux 5.11 to 6.3 without the series: dispatch can neither be suspended nor read. All that can be done
 * is to see that it may be on, and refuse.
 *
 * A program with dispatch handles SIGSYS, as a rule. So does many a program in a sandbox, for the calls that its
 * seccomp filters answer with TRAP; nothing tells the two apart without trying a call, and that is no answer
 * either, as a selector that says ALLOW at the moment hides dispatch from it. So whatever handles SIGSYS is
 * refused, by the survey, before anything is touched.
 *
 * What leaves SIGSYS at its default shows its dispatch by the first call that is injected: it comes back as a SIGSYS,
 * and the checkpoint ends there, with everything undone. That harms nothing: the signal is forced, so it must not
 * find itself ignored, or waiting already, for which the kernel would reset its disposition or take the other one
 * (`force_sig_info_to_task()` of `kernel/signal.c`); both are refused before.
 *
 * What is left undetected is a thread without a handler whose selector says ALLOW, or whose range holds both the
 * vDSO and the tool's memory below everything else. And one whose selector is unmapped or has a value of its own dies
 * of the call, as of any call that it makes from outside its range.
 *
 * @module
 */
import { SIG, signalBit } from "../../core/linux/signals.ts";
import type { SurveyContext } from "../../core/plugin.ts";
import type { SudBackend } from "./backend.ts";

const HINT = "boot Linux 6.4 or later, or one with the series of kernel/patches";

/** The back end, for one operation. */
export function noBackend(): SudBackend {
  /** Tasks in which a SIGSYS waited. */
  const waiting = new Set<number>();

  return {
    name: "none",
    description: "nothing: this kernel cannot suspend Syscall User Dispatch",
    usable: false,

    survey({ tasks, problem }: SurveyContext): void {
      for (const { pid, status } of tasks) {
        const doubt = waiting.has(pid) ? "a SIGSYS waits for it" : doubtOf(status);
        if (doubt === undefined) continue;
        const what =
          `${doubt}, so it may use Syscall User Dispatch, which this kernel can neither tell nor suspend`;
        problem({ pid, what, hint: HINT });
      }
    },

    suspend(threads) {
      for (const { tracee, proc, sharedPending } of threads) {
        // The survey of the frozen tree reports it.
        const isWaiting = [...tracee.pending, ...sharedPending].some(({ signal }) =>
          signal === SIG.SYS
        );
        if (isWaiting) waiting.add(proc.pid);
      }
    },
  };
}

/** Why a task may have dispatch, by what it does with SIGSYS: half a sentence; undefined where nothing speaks for it. */
export function doubtOf(
  status: { readonly sigCaught: bigint; readonly sigIgnored: bigint },
): string | undefined {
  const bit = signalBit(SIG.SYS);
  if ((status.sigCaught & bit) !== 0n) return "it handles SIGSYS";
  return (status.sigIgnored & bit) !== 0n ? "it ignores SIGSYS" : undefined;
}
