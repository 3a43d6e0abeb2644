/**
 * ptrace(2) of many threads at once, by sweeps (`sweep.ts`). Nothing here throws: a thread of which something is not
 * as it is with nearly all is told as such, to be asked one by one (`ptrace.ts`).
 *
 * @module
 */
import {
  decodeStatus,
  getRegisters,
  getSignalMask,
  peekRequest,
  peekSiginfo,
  PTRACE,
  rseqConfiguration,
  type RseqRegistration,
  signalStop,
  type Stop,
  STOPPED,
  WALL,
  WNOHANG,
} from "./ptrace.ts";
import { Siginfo } from "./siginfo.ts";
import { GIVEN, onceNeeded, Own, Sweep, type SweepArgument, type SweepCall, TID } from "./sweep.ts";
import { LOOK_FOR_ALL } from "./x86_64/interrupt_code.ts";
import { REGISTER_NAMES, Registers } from "./x86_64/registers.ts";

/** A request of ptrace(2) that is made of every thread. */
export function ptraceOfEach(
  request: bigint,
  address: SweepArgument,
  data: SweepArgument,
): SweepCall {
  return { name: "ptrace", args: [request, TID, address, data] };
}

/**
 * For how many threads PTRACE_SEIZE is called at a time: while one of their process is in execve(2) each of these calls
 * waits until it is interrupted (`interruptions.ts`), and nothing else is done meanwhile.
 */
export const SEIZED_AT_ONCE = 8;

const seizing = new Map<bigint, Sweep>();

/**
 * Seizes threads and interrupts those that it could.
 *
 * @param options bits of PTRACE_O
 * @param look is told what PTRACE_SEIZE and PTRACE_INTERRUPT returned
 */
export function seizeMany(
  tids: readonly number[],
  options: bigint,
  look: (tid: number, seized: number, interrupted: number) => void,
): void {
  let sweep = seizing.get(options);
  if (sweep === undefined) {
    const calls = [
      ptraceOfEach(PTRACE.SEIZE, 0n, options),
      ptraceOfEach(PTRACE.INTERRUPT, 0n, 0n),
    ];
    seizing.set(options, sweep = new Sweep(calls, 0, SEIZED_AT_ONCE));
  }
  sweep.run(tids, { look: (tid, { result }) => look(tid, result(0), result(1)) });
}

const waiting = onceNeeded(() =>
  new Sweep([{ name: "wait4", args: [TID, new Own(0), WALL | WNOHANG, 0] }], 8)
);

/** Of waitid(2). */
const P_PID = 1, WSTOPPED = 2, WNOWAIT = 0x1000000;
/** The size of a siginfo_t, and where it has si_code and si_status (`include/uapi/asm-generic/siginfo.h`), in words. */
const INFO = 128, INFO_CODE = 1, INFO_STATUS = 3;

const looking = onceNeeded(() => {
  const args = [P_PID, TID, new Own(0), WSTOPPED | WNOWAIT | WALL | WNOHANG, 0] as const;
  return new Sweep([{ name: "waitid", args }], INFO);
});

/**
 * Takes what each thread has done, if it has done anything. A signal that it is about to take is left to be told again,
 * as `nextStop()` of `core/remote/reap.ts` leaves it.
 */
export function nextStops(
  tids: readonly number[],
  look: (tid: number, stop: Stop, index: number) => void,
): void {
  const others: number[] = [];
  const indices: number[] = [];
  looking().run(tids, {
    look(tid, { result, words }, index) {
      const word = (at: number) => Number(words[at]! & 0xffffffffn);
      const stop = result(0) === 0 ? signalStop(word(INFO_CODE), word(INFO_STATUS)) : undefined;
      if (stop !== undefined) return look(tid, stop, index);
      others.push(tid);
      indices.push(index);
    },
  });
  takeAny(others, (tid, stop, at) => look(tid, stop, indices[at] as number));
}

/** Takes what each thread has done, if it has done anything. */
function takeAny(
  tids: readonly number[],
  look: (tid: number, stop: Stop, index: number) => void,
): void {
  waiting().run(tids, {
    look(tid, { result, words }, index) {
      const pid = result(0);
      if (pid < 0) return look(tid, { kind: "absent" }, index);
      const none = { kind: "none" } as const;
      look(tid, pid === 0 ? none : decodeStatus(Number(words[0]! & 0xffffffffn)), index);
    },
  });
}

const stopping = onceNeeded(() =>
  new Sweep([
    { name: "waitid", args: [P_PID, TID, new Own(0), WSTOPPED | WALL | WNOHANG, 0] },
  ], INFO)
);

/**
 * Takes the stop that each is in, if it is in one that nobody has taken. Its end is left to be told: that of a first
 * thread may be for whoever started its process here.
 */
export function takeStops(
  tids: readonly number[],
  look: (tid: number, stop: Stop, index: number) => void,
): void {
  stopping().run(tids, {
    look(tid, { result, words }, index) {
      const isStop = result(0) === 0 && (words[0]! & 0xffffffffn) !== 0n;
      const status = Number(words[INFO_STATUS]! & 0xffffffn);
      look(tid, isStop ? decodeStatus((status << 8) | STOPPED) : { kind: "none" }, index);
    },
  });
}

const glancing = onceNeeded(() =>
  new Sweep([
    ptraceOfEach(PTRACE.GETEVENTMSG, 0n, new Own(INFO)),
    { name: "waitid", args: [P_PID, TID, new Own(0), LOOK_FOR_ALL | WNOHANG, 0] },
  ], INFO + 8)
);

/** The threads of these that may not stand still any more, or have something to tell. */
export function findRestless(tids: readonly number[]): number[] {
  const restless: number[] = [];
  glancing().run(tids, {
    look(tid, { result, words }) {
      // No si_signo: there is nothing to tell.
      const isQuiet = result(0) === 0 && result(1) === 0 && (words[0]! & 0xffffffffn) === 0n;
      if (!isQuiet) restless.push(tid);
    },
  });
  return restless;
}

/** What a thread that stands still is found with. */
export interface ThreadState {
  readonly registers: Registers;
  /** The blocked signals, bit N-1 for signal N. */
  readonly signalMask: bigint;
  /** The signals that wait for this thread alone, oldest first. */
  readonly pending: readonly Siginfo[];
}

/** The state of one. @throws {StasisError} `no-such-task`, `syscall` */
export function readState(tid: number): ThreadState {
  return {
    registers: getRegisters(tid),
    signalMask: getSignalMask(tid),
    pending: peekSiginfo(tid, false),
  };
}

const REGISTERS = REGISTER_NAMES.length;
const NONE: readonly Siginfo[] = [];

const reading = onceNeeded(() =>
  new Sweep([
    ptraceOfEach(PTRACE.GETREGS, 0n, new Own(0)),
    ptraceOfEach(PTRACE.GETSIGMASK, 8n, new Own(REGISTERS * 8)),
    ptraceOfEach(PTRACE.PEEKSIGINFO, peekRequest(0, false, 1), new Own(REGISTERS * 8 + 8)),
  ], REGISTERS * 8 + 8 + Siginfo.SIZE)
);

/** The state of each. @param look is told undefined for one that has to be asked by itself */
export function readStates(
  tids: readonly number[],
  look: (tid: number, state: ThreadState | undefined) => void,
): void {
  const all = new BigUint64Array(tids.length * REGISTERS);
  reading().run(tids, {
    look(tid, { result, words }, index) {
      const isPlain = result(0) === 0 && result(1) === 0 && result(2) === 0;
      const own = all.subarray(index * REGISTERS, (index + 1) * REGISTERS);
      own.set(words.subarray(0, REGISTERS));
      look(
        tid,
        isPlain
          ? {
            registers: new Registers(own),
            signalMask: words[REGISTERS] as bigint,
            pending: NONE,
          }
          : undefined,
      );
    },
  });
}

const peekingAt = (shared: boolean) =>
  onceNeeded(() =>
    new Sweep(
      [ptraceOfEach(PTRACE.PEEKSIGINFO, peekRequest(0, shared, 1), new Own(0))],
      Siginfo.SIZE,
    )
  );
const peekingAtShared = peekingAt(true), peekingAtOwn = peekingAt(false);

/**
 * The signals that wait for each thread alone, or for its process, oldest first, left in their queues; of those that
 * have any.
 *
 * @throws as {@link peekSiginfo}
 */
export function peekMany(
  tids: readonly number[],
  shared: boolean,
): Map<number, readonly Siginfo[]> {
  const found = new Map<number, readonly Siginfo[]>();
  const sweep = shared ? peekingAtShared() : peekingAtOwn();
  sweep.run(tids, {
    look: (tid, { result }) => {
      if (result(0) !== 0) found.set(tid, peekSiginfo(tid, shared));
    },
  });
  return found;
}

/** What is set in a thread that stands still. */
export type Setting = Pick<ThreadState, "registers" | "signalMask">;

const SET_REGISTERS = ptraceOfEach(PTRACE.SETREGS, 0n, new Own(0));
const SET_MASK = ptraceOfEach(PTRACE.SETSIGMASK, 8n, new Own(REGISTERS * 8));
const SET_HALFWAY_MASK = ptraceOfEach(PTRACE.SETSIGMASK, 8n, new Own(REGISTERS * 8 + 8));

/**
 * @returns what sets registers and masks in an order, told them for the thread of an index, and gives the threads that
 * have not got them
 */
function settingBy(...calls: readonly SweepCall[]) {
  const sweep = onceNeeded(() => new Sweep(calls, REGISTERS * 8 + 16));
  return (
    tids: readonly number[],
    state: (index: number) => Setting & { readonly halfwayMask?: bigint },
  ): number[] => {
    const failed: number[] = [];
    sweep().run(tids, {
      fill(_, words, index) {
        const { registers, signalMask, halfwayMask = 0n } = state(index);
        words.set(registers.words);
        words[REGISTERS] = BigInt.asUintN(64, signalMask);
        words[REGISTERS + 1] = halfwayMask;
      },
      look(tid, { result }) {
        if (calls.some((_, index) => result(index) !== 0)) failed.push(tid);
      },
    });
    return failed;
  };
}

/** Sets the registers and then the blocked signals of each. */
export const setMany = settingBy(SET_REGISTERS, SET_MASK);

/** Sets the blocked signals and then the registers of each: {@link setMany} in the other order. */
export const putBackMany = settingBy(SET_MASK, SET_REGISTERS);

/** Sets a mask of each that it has meanwhile (`halfwayMask`), its registers, and its blocked signals. */
export const setManyHalfway = settingBy(SET_HALFWAY_MASK, SET_REGISTERS, SET_MASK);

const choosing = onceNeeded(() => new Sweep([ptraceOfEach(PTRACE.SETOPTIONS, 0n, GIVEN)]));

/**
 * Sets the ptrace options of each.
 *
 * @param options bits of PTRACE_O
 * @returns 0, or the negative errno, for each
 */
export function setOptionsOfMany(tids: readonly number[], options: bigint): number[] {
  const results: number[] = [];
  choosing().run(tids, { given: options, look: (_, { result }) => results.push(result(0)) });
  return results;
}

const registered = onceNeeded(() =>
  new Sweep([
    ptraceOfEach(PTRACE.GET_RSEQ_CONFIGURATION, rseqConfiguration.size, new Own(0)),
  ], rseqConfiguration.size)
);

/** The rseq(2) registration of each. @param look is told undefined for one that has to be asked by itself */
export function getRseqs(
  tids: readonly number[],
  look: (tid: number, registration: RseqRegistration | undefined, index: number) => void,
): void {
  registered().run(tids, {
    look: (tid, { result, own }, index) =>
      look(
        tid,
        result(0) === rseqConfiguration.size ? rseqConfiguration.read(own) : undefined,
        index,
      ),
  });
}

const sending = onceNeeded(() =>
  new Sweep([ptraceOfEach(PTRACE.SETREGS, 0n, new Own(0))], REGISTERS * 8)
);

/** Sets the registers of each, and nothing else. @returns the threads that have not got them */
export function setRegistersOfMany(
  tids: readonly number[],
  registers: (index: number) => Registers,
): number[] {
  const failed: number[] = [];
  sending().run(tids, {
    fill: (_, words, index) => words.set(registers(index).words),
    look: (tid, { result }) => void (result(0) === 0 || failed.push(tid)),
  });
  return failed;
}

/**
 * A request of ptrace(2) that takes nothing, made of each thread.
 *
 * @returns what makes it, and gives the threads of which it has failed
 */
function requesting(request: bigint): (tids: readonly number[]) => number[] {
  const sweep = onceNeeded(() => new Sweep([ptraceOfEach(request, 0n, 0n)]));
  return (tids) => {
    const failed: number[] = [];
    sweep().run(tids, { look: (tid, { result }) => void (result(0) === 0 || failed.push(tid)) });
    return failed;
  };
}

/** Lets each run on. @returns the threads that do not */
export const resumeMany = requesting(PTRACE.CONT);

/** Lets each run to the entry or the exit of a system call. @returns the threads that do not */
export const resumeManyToSyscall = requesting(PTRACE.SYSCALL);

/** Asks each to stop. @returns the threads that have not been asked */
export const interruptMany = requesting(PTRACE.INTERRUPT);

/** Ends the tracing of each. @returns the threads that are traced still */
export const detachMany = requesting(PTRACE.DETACH);

const returning = onceNeeded(() =>
  new Sweep([ptraceOfEach(PTRACE.GETREGS, 0n, new Own(0))], REGISTERS * 8)
);

/** The registers of each. @param look is told undefined for one that has to be asked by itself */
export function getRegistersOfMany(
  tids: readonly number[],
  look: (tid: number, registers: Registers | undefined, index: number) => void,
): void {
  returning().run(tids, {
    look: (tid, { result, words }, index) =>
      look(tid, result(0) === 0 ? new Registers(words.slice(0, REGISTERS)) : undefined, index),
  });
}

const receiving = onceNeeded(() =>
  new Sweep([ptraceOfEach(PTRACE.GETSIGINFO, 0n, new Own(0))], Siginfo.SIZE)
);

/** The siginfo of the signal-delivery-stop that each is in. @param look is told undefined where it cannot be had */
export function getStopSiginfos(
  tids: readonly number[],
  look: (tid: number, info: Siginfo | undefined, index: number) => void,
): void {
  receiving().run(tids, {
    look: (tid, { result, own }, index) =>
      look(tid, result(0) === 0 ? new Siginfo(own) : undefined, index),
  });
}
