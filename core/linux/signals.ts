/**
 * Signals by number and name (`arch/x86/include/uapi/asm/signal.h`) and masks of them.
 *
 * @module
 */

const NAMES = [
  "",
  ..."HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
    .split(" "),
];

/** The number of signals, and so of bits in a mask. */
export const SIGNAL_COUNT = 64;

/** Signals that the code names. */
export const SIG = {
  HUP: 1,
  ILL: 4,
  TRAP: 5,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  SYS: 31,
} as const;

/** The signals by which a person, a closed terminal or a service manager ends a program, by name. */
export const ENDING_SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const;

/** Signals whose default is to stop the process; an event-stop with one of them is a group-stop. */
export const STOP_SIGNALS: readonly number[] = [SIG.STOP, SIG.TSTP, SIG.TTIN, SIG.TTOU];

/** The name of a signal: `SIGSYS` of 31, `SIGRT2` of 34 (the kernel's first real-time signal is 32). */
export function signalName(signal: number): string {
  const name = NAMES[signal];
  return name !== undefined && name !== "" ? `SIG${name}` : `SIGRT${signal - 32}`;
}

/** The bit of a signal in a mask: bit N-1 for signal N. */
export function signalBit(signal: number): bigint {
  return 1n << BigInt(signal - 1);
}

/** The mask that blocks every signal. */
export const ALL_SIGNALS = (1n << 64n) - 1n;

/** The signals of a mask, in ascending order. */
export function signalsOf(mask: bigint): number[] {
  const found: number[] = [];
  for (let signal = 1; signal <= SIGNAL_COUNT; signal++) {
    if ((mask & signalBit(signal)) !== 0n) found.push(signal);
  }
  return found;
}
