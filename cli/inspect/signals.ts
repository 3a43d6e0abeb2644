/**
 * What a process does on signals, which ones wait, and which a thread blocks. Pure.
 *
 * @module
 */
import type { sa_entry, signal_queue_entry } from "../../images/gen/signals_pb.ts";
import type { thread_core_entry } from "../../images/gen/thread_pb.ts";
import { signalName, signalsOf } from "../../core/linux/signals.ts";
import { Siginfo } from "../../core/linux/siginfo.ts";
import { HANDLED_SIGNALS } from "../../plugins/signals/sigaction.ts";

/** What is done on a signal, where that is not the default. */
export interface ActionInfo {
  /** `SIGINT`. */
  readonly signal: string;
  /** `ignored`, or the handler with its flags and what it blocks beside its own signal. */
  readonly what: string;
}

/** Signals of a thread. */
export interface ThreadSignals {
  /** Those that it blocks; absent where it blocks none. */
  readonly blocked?: readonly string[];
  /** Those that wait for it, in their order; absent where there are none. */
  readonly waiting?: readonly string[];
  /** `0x7f0000000000, 8192 bytes`; absent where it has no alternate stack. */
  readonly signalStack?: string;
}

const SIG_DFL = 0n, SIG_IGN = 1n;
/** SA_* (include/uapi/asm-generic/signal-defs.h, arch/x86/include/uapi/asm/signal.h), but for SA_RESTORER, which every handler has. */
const FLAGS: readonly (readonly [bigint, string])[] = [
  [0x1n, "SA_NOCLDSTOP"],
  [0x2n, "SA_NOCLDWAIT"],
  [0x4n, "SA_SIGINFO"],
  [0x800n, "SA_EXPOSE_TAGBITS"],
  [0x08000000n, "SA_ONSTACK"],
  [0x10000000n, "SA_RESTART"],
  [0x40000000n, "SA_NODEFER"],
  [0x80000000n, "SA_RESETHAND"],
];
/** SS_DISABLE (include/uapi/linux/signal.h). */
const SS_DISABLE = 2;

/** Actions that are not the default. @param entries in the order of the image */
export function describeActions(entries: readonly sa_entry[]): ActionInfo[] {
  return entries.flatMap(({ sigaction, flags, mask }, index) => {
    const signal = HANDLED_SIGNALS[index];
    if (signal === undefined || sigaction === SIG_DFL) return [];
    const name = signalName(signal);
    if (sigaction === SIG_IGN) return [{ signal: name, what: "ignored" }];
    const set = FLAGS.filter(([bit]) => (flags & bit) !== 0n).map(([, name]) => name);
    const blocks = signalNames(mask);
    const what = [
      `0x${sigaction.toString(16)}`,
      ...set,
      ...blocks.length > 0 ? [`blocks ${blocks.join(" ")}`] : [],
    ];
    return [{ signal: name, what: what.join("  ") }];
  });
}

/** The signals of a queue, in the order in which they will be taken. */
export function describeQueue(queue: signal_queue_entry | undefined): string[] {
  return (queue?.signals ?? []).map(({ siginfo }) =>
    siginfo.length < Siginfo.SIZE ? "cut short" : signalName(new Siginfo(siginfo).signal)
  );
}

/** Signals of a thread. */
export function describeThreadSignals(core: thread_core_entry | undefined): ThreadSignals {
  const blocked = signalNames(core?.blkSigset ?? 0n);
  const waiting = describeQueue(core?.signalsP);
  const { sas } = core ?? {};
  return {
    blocked: blocked.length > 0 ? blocked : undefined,
    waiting: waiting.length > 0 ? waiting : undefined,
    signalStack: sas === undefined || (sas.ssFlags & SS_DISABLE) !== 0
      ? undefined
      : `0x${sas.ssSp.toString(16)}, ${sas.ssSize} bytes`,
  };
}

function signalNames(mask: bigint): string[] {
  return signalsOf(mask).map(signalName);
}
