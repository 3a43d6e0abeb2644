/**
 * Giving back signals that were intercepted while calls ran in a thread: they are sent again.
 *
 * @module
 */
import { isErrno } from "../linux/errno.ts";
import { peekSiginfo } from "../linux/ptrace.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { SIG, STOP_SIGNALS } from "../linux/signals.ts";
import { makeCall, type RawCall } from "./undo.ts";

/**
 * Sends signals to a stopped thread again, in their order.
 *
 * @param pid its thread group
 */
export function requeueSignals(pid: number, tid: number, signals: readonly Siginfo[]): void {
  // Had the stop signal come after the SIGCONT, it would have thrown that out of the queue: it came
  // before, and the SIGCONT has undone it.
  const goesOn = signals.length > 0 && waitsToContinue(tid);
  for (const info of signals) {
    if (goesOn && STOP_SIGNALS.includes(info.signal)) continue;
    const [first, otherwise] = signalCalls(pid, tid, info);
    if (isErrno(makeCall(first))) makeCall(otherwise);
  }
}

function waitsToContinue(tid: number): boolean {
  return [...peekSiginfo(tid, false), ...peekSiginfo(tid, true)]
    .some((info) => info.signal === SIG.CONT);
}

/**
 * Sent from here it can carry the original siginfo only if that is one that a process may send to another
 * (SI_QUEUE and the like); the rest goes out as a plain kill(2) or tgkill(2), of which this process is the
 * sender.
 *
 * @returns the call that sends a signal, and the one to be made if it fails
 */
export function signalCalls(pid: number, tid: number, info: Siginfo): [RawCall, RawCall] {
  const [process, thread, signal] = [BigInt(pid), BigInt(tid), BigInt(info.signal)];
  return [
    { name: "rt_tgsigqueueinfo", args: [process, thread, signal, info.bytes] },
    // SI_USER (0) is what kill(2) sends, and to the whole process; SI_TKILL goes to one thread.
    info.code === 0
      ? { name: "kill", args: [process, signal] }
      : { name: "tgkill", args: [process, thread, signal] },
  ];
}
