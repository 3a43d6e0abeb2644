/**
 * Options of prctl(2), from `include/uapi/linux/prctl.h`, and what their values mean.
 *
 * @module
 */

/** The options that this plugin uses. */
export const PR = {
  SET_NAME: 15,
  GET_NAME: 16,
  GET_TSC: 25,
  SET_TSC: 26,
  SET_TIMERSLACK: 29,
  GET_TIMERSLACK: 30,
  MCE_KILL: 33,
  MCE_KILL_GET: 34,
  SET_CHILD_SUBREAPER: 36,
  GET_CHILD_SUBREAPER: 37,
  GET_SPECULATION_CTRL: 52,
  SET_SPECULATION_CTRL: 53,
  SET_IO_FLUSHER: 57,
  GET_IO_FLUSHER: 58,
  SCHED_CORE: 62,
  FUTEX_HASH: 78,
} as const;

/** PR_SET_TSC: the counter may be read, or reading it is a SIGSEGV. */
export const TSC = { ENABLE: 1, SIGSEGV: 2 } as const;

/** PR_MCE_KILL_SET, the argument of {@link PR.MCE_KILL} before a policy; and the policy of whoever set none. */
export const MCE_KILL_SET = 1, MCE_KILL_DEFAULT = 2;

/** Speculation that can be controlled: PR_SPEC_STORE_BYPASS, _INDIRECT_BRANCH, _L1D_FLUSH. */
export const SPECULATIONS = [0, 1, 2] as const;

/** The value can be set by prctl(2); without it there is nothing to save. */
const PR_SPEC_PRCTL = 1;
const PR_SPEC_ENABLE = 2;
const PR_SPEC_DISABLE = 4;
/** PR_SPEC_L1D_FLUSH: off is the default, where ENABLE is for the other two. */
const L1D_FLUSH = 2;

/**
 * What of a PR_GET_SPECULATION_CTRL value is to be set again.
 *
 * @param value the value, or a negative errno where this processor or kernel has no such thing
 * @returns undefined where it is the default
 */
export function speculationToSave(which: number, value: number): number | undefined {
  if (value < 0 || (value & PR_SPEC_PRCTL) === 0) return undefined;
  const control = value & ~PR_SPEC_PRCTL;
  return control === (which === L1D_FLUSH ? PR_SPEC_DISABLE : PR_SPEC_ENABLE) ? undefined : control;
}
