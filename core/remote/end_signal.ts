/**
 * Which signal ends programs in a thread (`core/linux/x86_64/program_code.ts`). Pure.
 *
 * @module
 */
import { ALL_SIGNALS, SIG, signalBit, STOP_SIGNALS } from "../linux/signals.ts";

/**
 * In the order of preference. First those that are ignored by default: where nothing catches one it does nothing, should
 * the tool die with it on its way. SIGCONT would undo a stop.
 */
const IGNORED_SIGNALS: readonly number[] = [SIG.URG, SIG.WINCH, SIG.CHLD, SIG.CONT];
const END_SIGNALS: readonly number[] = [SIG.URG, SIG.WINCH, SIG.IO, 60, 61, 62, 63];

/** What is known of a thread's signals. */
export interface SignalState {
  /** Those that wait for it, or for its process. */
  readonly waiting: readonly number[];
  /** Those that its process catches; all, if that is not known. */
  readonly caught?: bigint;
  /** Those that it blocks itself. */
  readonly blocked: bigint;
  /** Whether it is in a group-stop. */
  readonly isStopped: boolean;
}

/** Whether a signal that comes to a thread does nothing there. @param caught those that its process catches */
export function isHarmless(signal: number, caught: bigint): boolean {
  return IGNORED_SIGNALS.includes(signal) && (caught & signalBit(signal)) === 0n;
}

/** @returns the signal; undefined if all that could be taken wait for the thread already */
export function chooseEndSignal(
  { waiting, caught = ALL_SIGNALS, blocked, isStopped }: SignalState,
): number | undefined {
  const stops = isStopped || waiting.some((signal) => STOP_SIGNALS.includes(signal));
  const harmless = (taken: bigint) =>
    IGNORED_SIGNALS.find((signal) =>
      (taken & signalBit(signal)) === 0n && !waiting.includes(signal) &&
      !(signal === SIG.CONT && stops)
    );
  // One that the thread blocks itself it may wait for by other means (signalfd(2), sigwait(3)).
  return harmless(caught | blocked) ?? harmless(caught) ??
    END_SIGNALS.find((signal) => !waiting.includes(signal));
}
