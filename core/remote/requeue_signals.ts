/**
 * Giving back signals that were intercepted while calls ran in a thread: they are sent again.
 *
 * @module
 */
import { isErrno } from "../linux/errno.ts";
import { syscall } from "../linux/libc_ffi.ts";
import { peekSiginfo } from "../linux/ptrace.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { SIG, STOP_SIGNALS } from "../linux/signals.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";

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
    if (!(goesOn && STOP_SIGNALS.includes(info.signal))) send(pid, tid, info);
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
 */
function send(pid: number, tid: number, info: Siginfo): void {
  const sent = syscall(SYSCALLS.rt_tgsigqueueinfo, pid, tid, info.signal, info.bytes);
  if (!isErrno(sent)) return;
  // SI_USER (0) is what kill(2) sends, and to the whole process; SI_TKILL goes to one thread.
  if (info.code === 0) syscall(SYSCALLS.kill, pid, info.signal);
  else syscall(SYSCALLS.tgkill, pid, tid, info.signal);
}
