/**
 * Signals that came while their process was being saved. Pure.
 *
 * @module
 */
import type { Siginfo } from "../../core/linux/siginfo.ts";
import { SIG } from "../../core/linux/signals.ts";

/** `si_code` (`include/uapi/asm-generic/siginfo.h`): sent by the kernel, by kill(2), by a POSIX timer. */
const SI_KERNEL = 0x80, SI_USER = 0, SI_TIMER = -2;
/** `si_code` of SIGCHLD: how a child ended. */
const CLD_EXITED = 1, CLD_DUMPED = 3;

/** Two queues: of a process, and of its threads one by one. */
export interface Queues {
  /** What waits for the process. */
  readonly shared: readonly Siginfo[];
  /** What waits for each thread, by tid. */
  readonly own: ReadonlyMap<number, readonly Siginfo[]>;
}

/**
 * The queues as they are to be saved in the end.
 *
 * @param saved what waited when timers and children were looked at
 * @param now what waits at the last moment
 * @param intercepted what was taken on its way while calls ran in the threads, by tid
 */
export function finalQueues(
  saved: Queues,
  now: Queues,
  intercepted: ReadonlyMap<number, readonly Siginfo[]>,
): Queues {
  // kill(2) sends to the process; which queue another signal was in is not known any more.
  const sentToProcess = ({ code }: Siginfo) => code === SI_USER;
  const taken = [...intercepted.values()].flat();
  const own = [...now.own].map(([tid, queue]): [number, Siginfo[]] => {
    const others = (intercepted.get(tid) ?? []).filter((info) => !sentToProcess(info));
    return [tid, merge(saved.own.get(tid) ?? [], queue, others)];
  });
  return {
    shared: merge(saved.shared, now.shared, taken.filter(sentToProcess)),
    own: new Map(own),
  };
}

/** What was there and is there still, what was taken, and what came from outside, in this order. */
function merge(
  saved: readonly Siginfo[],
  now: readonly Siginfo[],
  taken: readonly Siginfo[],
): Siginfo[] {
  const known = saved.map(({ bytes }) => bytes.join());
  const old: Siginfo[] = [];
  const late: Siginfo[] = [];
  for (const info of now) {
    const at = known.indexOf(info.bytes.join());
    if (at >= 0) {
      known.splice(at, 1);
      old.push(info);
    } else if (!comesAgain(info)) late.push(info);
  }
  return [...old, ...taken, ...late];
}

/**
 * Whether what sent the signal is in the images as it was before: a timer that had time left, and a child that
 * lived. It will send it again.
 */
function comesAgain({ signal, code }: Siginfo): boolean {
  if (signal === SIG.CHLD) return code >= CLD_EXITED && code <= CLD_DUMPED;
  if (code === SI_TIMER) return true;
  return code === SI_KERNEL && ([SIG.ALRM, SIG.VTALRM, SIG.PROF] as number[]).includes(signal);
}
