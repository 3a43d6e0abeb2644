/**
 * Linux 5.11 to 6.3 without the series: dispatch can neither be suspended nor read. All that can be done
 * is to see that it may be on, and refuse.
 *
 * A program with dispatch handles SIGSYS, as a rule. So does many a program in a sandbox, for the calls that its
 * seccomp filters answer with TRAP; nothing tells the two apart without trying a call, and that is no answer
 * either, as a selector that says ALLOW at the moment hides dispatch from it. So whatever handles SIGSYS is
 * refused, by the survey, before anything is touched.
 *
 * Only what leaves SIGSYS at its default is tried with a harmless call, from two places, as one may lie in the range
 * that is not dispatched: it comes back as a SIGSYS if it is. That harms nothing then:
 *
 * - Its filters do not see the call: the seccomp plugin has suspended them, or has refused the thread.
 * - The SIGSYS is forced, so it must not find the signal blocked or ignored, for which the kernel would reset
 *   its disposition (`force_sig_info_to_task()` of `kernel/signal.c`): it is unblocked for the call, and what
 *   ignores it is not tried.
 * - Unblocked, a SIGSYS that waits already would be taken instead: where one does, none is tried.
 *
 * What is left undetected is a thread without a handler whose selector says ALLOW: one that has armed dispatch and
 * not got to installing its handler. And one whose selector is unmapped or has a value of its own dies of the
 * call, as of any call that it makes from outside its range.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { mappingKind } from "../../core/linux/procfs/mod.ts";
import { SIG, signalBit } from "../../core/linux/signals.ts";
import { ProcessMemory } from "../../core/linux/memory.ts";
import { remoteAddress } from "../../core/linux/address.ts";
import type { StoppedThread, SurveyContext } from "../../core/plugin.ts";
import type { SudBackend } from "./backend.ts";
import { outermostInstructions } from "./instructions.ts";

const PROT_EXEC = 4;
const HINT = "boot Linux 6.4 or later, or one with the series of kernel/patches";

/** The back end, for one operation. */
export function noBackend(): SudBackend {
  /** Threads whose call was dispatched. */
  const dispatched = new Set<number>();
  /** Tasks in which a SIGSYS waited, so that nothing could be tried. */
  const waiting = new Set<number>();
  /** Where calls are tried, by task. */
  const known = new Map<number, readonly bigint[]>();

  return {
    name: "none",
    description: "nothing: this kernel cannot suspend Syscall User Dispatch",
    usable: false,

    survey({ tasks, problem }: SurveyContext): void {
      for (const { pid, threads, status } of tasks) {
        const tid = threads.find((tid) => dispatched.has(tid));
        const doubt = waiting.has(pid) ? "a SIGSYS waits for it" : doubtOf(status);
        if (tid === undefined && doubt === undefined) continue;
        const what = tid !== undefined
          ? "it uses Syscall User Dispatch, which this kernel cannot suspend"
          : `${doubt}, so it may use Syscall User Dispatch, which this kernel can neither tell nor suspend`;
        problem({ pid, tid, what, hint: HINT });
      }
    },

    suspend(thread) {
      const { tid, tracee, proc, sharedPending } = thread;
      // The survey of the frozen tree reports it.
      if (doubtOf(proc.status) !== undefined) return undefined;
      if ([...tracee.pending, ...sharedPending].some(({ signal }) => signal === SIG.SYS)) {
        waiting.add(proc.pid);
        return undefined;
      }
      let places = known.get(proc.pid);
      if (places === undefined) known.set(proc.pid, places = placesToTry(thread));
      if (
        places.some((place) =>
          tracee.isDispatched({ instruction: remoteAddress(place) }, sharedPending)
        )
      ) dispatched.add(tid);
      return undefined;
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

/** Where to try calls: see `instructions.ts`. */
function placesToTry({ proc }: StoppedThread): readonly bigint[] {
  const code = proc.vmas.filter((vma) =>
    (vma.prot & PROT_EXEC) !== 0 && mappingKind(vma) !== "vsyscall"
  );
  using memory = new ProcessMemory(proc.pid);
  return outermostInstructions(code, ({ start, end }) => {
    try {
      return memory.read(remoteAddress(start), Number(end - start));
    } catch (error) {
      // Behind the end of the file that is mapped there is nothing to be read, or to be run.
      if (error instanceof StasisError && error.code === "syscall") return undefined;
      throw error;
    }
  });
}
