/**
 * What is known of a traced thread that stands still: how it was found, where it waits, and what puts it back. What runs
 * in it is `tracee_programs.ts`'s and `tracee_calls.ts`'s.
 *
 * Before anything is changed in a target, its threads are *parked* ({@link TraceeState.park}): their registers lead to a
 * place where they can only wait, with all signals blocked, and there they are between programs and calls, too. So
 * if the tool dies they wait for the guardian, which has been told how to put them back.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import type { RemoteAddress } from "../linux/address.ts";
import { PTRACE, PTRACE_O, setOptions, setRegisters, setSignalMask } from "../linux/ptrace.ts";
import {
  readState,
  setMany,
  setManyHalfway,
  setOptionsOfMany,
  setRegistersOfMany,
  type ThreadState,
} from "../linux/ptrace_many.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { ALL_SIGNALS, SIG, signalBit } from "../linux/signals.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { WAITING_FLAGS } from "../linux/x86_64/waiting_code.ts";
import { chooseEndSignal, isHarmless } from "./end_signal.ts";
import {
  type NotedThread,
  ptraceCall,
  type RawCall,
  type Rescuer,
  type ThreadUndo,
} from "./undo.ts";

/** What a tracer's death ends by itself, and whoever goes on in its place needs as well. */
const SUSPENSIONS = PTRACE_O.SUSPEND_SECCOMP | PTRACE_O.SUSPEND_SYSCALL_USER_DISPATCH;

/** Signals that no mask has. */
const UNBLOCKABLE = signalBit(SIG.KILL) | signalBit(SIG.STOP);
/**
 * By which glibc has all threads of a process change their ids (SIGSETXID of its `internal-signals.h`): each that has
 * threads catches it, and no mask of its functions has it. No program waits for that handler.
 */
const SIGSETXID = 33;

/** Signals of a thread's own instructions and calls, which come of nothing while it waits. */
const OF_ITSELF = [SIG.ILL, SIG.TRAP, SIG.BUS, SIG.FPE, SIG.SEGV, SIG.SYS]
  .reduce((mask, signal) => mask | signalBit(signal), 0n);

/** Signals whose handlers no call waits for. */
const NOT_AWAITED = OF_ITSELF | signalBit(SIGSETXID);

/** Where a thread can only wait. */
export interface WaitingPlace {
  readonly address: RemoteAddress;
  /**
   * Whether it is a `syscall` instruction, for pause(2), rather than a jump to itself: not for a thread whose calls
   * are dispatched or filtered.
   */
  readonly isCall: boolean;
  /** Whether single calls of the thread's process end there ({@link CallSite.landing}). */
  readonly isLanding: boolean;
}

/** A thread that is to be parked. */
export interface ParkedThread {
  readonly thread: TraceeState;
  readonly place: WaitingPlace;
  /** The signals that its process catches (SigCgt of `/proc/PID/status`). */
  readonly caught: bigint;
  /** The signals that wait for its whole process. */
  readonly shared: readonly Siginfo[];
}

/** What is known of a thread that this process traces and that stands still, and how it is put back. */
export abstract class TraceeState {
  /** The thread, as this process sees it. */
  readonly tid: number;
  /** The thread group. */
  readonly pid: number;
  /** The signals that waited for this thread alone at the freeze. */
  pending: readonly Siginfo[];
  /** The signal whose group-stop (job control) the thread was found in; 0 if it ran. */
  readonly groupStop: number;

  #registers: Registers;
  #signalMask: bigint;
  #options: bigint;
  #endSignal: number | undefined;
  /** Whether it waits with that one blocked, too. */
  #blocksAll = false;
  /** Whether the target does something at that signal. */
  #isHeard = false;
  /** The signals that its process catches, of one that somebody else puts back as well. */
  #caught = 0n;
  #parked: { readonly place: WaitingPlace; readonly rescuer: Rescuer } | undefined;
  #noted: NotedThread | undefined;
  /** What plugins have changed by ptrace, last first. */
  readonly #undo: RawCall[] = [];
  #lost = false;
  #ended = false;

  /**
   * Takes note of a thread that stands still (`stop_thread.ts` makes it do so).
   *
   * @param groupStop the signal whose group-stop it is in; 0 if none
   * @param options the ptrace options in force
   * @param state what it was found with, if that has been read already
   * @throws {StasisError} `no-such-task` if it was killed in this very moment
   */
  constructor(
    tid: number,
    pid: number,
    groupStop: number,
    options: bigint,
    state: ThreadState = readState(tid),
  ) {
    this.tid = tid;
    this.pid = pid;
    this.groupStop = groupStop;
    this.#options = options;
    this.#registers = state.registers;
    this.#signalMask = state.signalMask;
    this.pending = state.pending;
  }

  /** The general registers at the freeze. A plugin or the core may adjust them (an rseq abort, say). */
  get registers(): Registers {
    return this.#registers;
  }
  set registers(registers: Registers) {
    this.#registers = registers;
    this.#note();
  }

  /** The signal mask at the freeze; a restore sets the one that the thread is to run with. */
  get signalMask(): bigint {
    return this.#signalMask;
  }
  set signalMask(mask: bigint) {
    this.#signalMask = mask;
    this.#note();
  }

  /**
   * Sends threads to where they wait until they are released, by whoever that is then. All are noted before any is sent.
   *
   * The registers are set before the mask: should the tool die in between, a signal is handled, and its handler
   * returns to the waiting place. The other way round the thread would run on with its signals blocked; but where it is
   * in a call that a handler ends ({@link isEndedBySignals}) that must not be.
   *
   * @throws {StasisError} before any of them is sent, or as ptrace(2) says
   */
  static park(parked: readonly ParkedThread[], rescuer: Rescuer): void {
    const threads = parked.map(({ thread }) => thread);
    for (const { thread, caught, shared } of parked) {
      const signal = thread.#endSignal = thread.#findEndSignal(shared, caught);
      thread.#isHeard = !isHarmless(signal, caught);
      thread.#caught = caught;
    }
    let noted: NotedThread[];
    try {
      noted = rescuer.noteThreads(threads.map((thread) => thread.describeUndo()));
    } catch (error) {
      for (const thread of threads) thread.#caught = 0n;
      throw error;
    }
    threads.forEach((thread, index) => {
      thread.#parked = { place: (parked[index] as ParkedThread).place, rescuer };
      thread.#noted = noted[index];
    });
    const again: TraceeState[] = [];
    for (const halfway of [false, true]) {
      const some = threads.filter((thread) => thread.isEndedBySignals === halfway);
      const set = halfway ? setManyHalfway : setMany;
      const failed = new Set(set(some.map(({ tid }) => tid), (index) => {
        const thread = some[index] as TraceeState;
        const { halfwayMask } = thread;
        return { registers: thread.baseRegisters(), signalMask: thread.#waitingMask, halfwayMask };
      }));
      again.push(...some.filter(({ tid }) => failed.has(tid)));
    }
    for (const thread of again) {
      if (thread.isEndedBySignals) setSignalMask(thread.tid, thread.halfwayMask);
      setRegisters(thread.tid, thread.baseRegisters());
      thread.#blockSignals();
    }
  }

  /** Sends a parked thread that a program has run in back to its waiting place: the code of the program goes. */
  waitAgain(): void {
    if (this.#parked === undefined || this.hasEnded || this.isLost) return;
    try {
      setRegisters(this.tid, this.baseRegisters());
    } catch (error) {
      // One that was killed waits for nothing.
      if (!(error instanceof StasisError && error.code === "no-such-task")) throw error;
    }
  }

  /** The same for many threads. */
  static waitAgainAll(threads: readonly TraceeState[]): void {
    const waiting = threads.filter((thread) =>
      thread.#parked !== undefined && !thread.hasEnded && !thread.isLost
    );
    const tids = waiting.map(({ tid }) => tid);
    const failed = new Set(
      setRegistersOfMany(tids, (index) => (waiting[index] as TraceeState).baseRegisters()),
    );
    for (const thread of waiting) if (failed.has(thread.tid)) thread.waitAgain();
  }

  /**
   * Whether calls in it must end with the tool: it is under filters, or has dispatch, that are suspended only for as
   * long as it is traced. Said by the plugin that suspends them.
   */
  needsTracer = false;

  /** Whether programs in it have to look whether the tool lives: {@link needsTracer}, or the target would hear their end. */
  get watchesTracer(): boolean {
    return this.needsTracer || this.#isHeard;
  }

  /**
   * Has the kernel end the thread with the tool (PTRACE_O_EXITKILL): for one whose calls are filtered or dispatched,
   * and that must not be let loose, but for a thread that waits in a place in which it makes no call.
   *
   * @param always where it waits makes no difference
   * @throws {StasisError} `no-such-task`, `syscall`
   */
  endWithTool(always = false): void {
    const place = this.#parked?.place;
    if (!always && place?.isCall === false && place.isLanding) return;
    const result = this.addOptions(PTRACE_O.EXITKILL);
    if (!isErrno(result)) return;
    const errno = errnoName(-result);
    throw new StasisError(
      errno === "ESRCH" ? "no-such-task" : "syscall",
      `ptrace(PTRACE_SETOPTIONS) of thread ${this.tid} failed: ${errno}`,
      { pid: this.pid, errno },
    );
  }

  /**
   * Notes a call of ptrace(2) or the like that takes a change to this thread back, to be made when it is let go,
   * before its registers are set. To be noted before the change is made.
   */
  noteUndo(call: RawCall): void {
    this.#undo.unshift(call);
    this.#note();
  }

  /** Whether plugins have changed it by what is to be taken back ({@link noteUndo}). */
  protected get isChanged(): boolean {
    return this.#undo.length > 0;
  }

  /** What puts it back: the same for the tool and for the guardian. */
  protected describeUndo(): ThreadUndo {
    const { pid, tid, halfwayMask } = this;
    const setMask = (mask: bigint) => {
      const bytes = new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, mask)).buffer);
      return ptraceCall(PTRACE.SETSIGMASK, tid, BigInt(bytes.length), bytes);
    };
    const registers = new Uint8Array(this.#registers.words.slice().buffer);
    const setRegisters = ptraceCall(PTRACE.SETREGS, tid, 0n, registers);
    const setOwn = setMask(this.#signalMask);
    const undo = { pid, tid, options: this.#options & SUSPENSIONS };
    if (!this.isEndedBySignals) return { ...undo, calls: [...this.#undo, setOwn, setRegisters] };
    return {
      ...undo,
      calls: [...this.#undo, setMask(halfwayMask), setRegisters, setOwn],
      halfway: { mask: halfwayMask, call: setOwn },
    };
  }

  /**
   * Whether it is in a call that the kernel begins again only where no handler has run (pause(2), select(2), ppoll(2),
   * msgrcv(2) ...), has handlers that may run, and is noted. It must never wait elsewhere with its own mask: a handler
   * would leave no trace, and the call go on that it was to end. So its own registers are set before its own mask, and
   * taken away after it; should the tool die in between, it is in its call, with {@link halfwayMask}, until the guardian
   * comes.
   *
   * The calls that restart_syscall(2) begins again (poll(2), sleeps) need no such care: the kernel notes that a handler
   * has run (`restore_sigcontext()` of `arch/x86/kernel/signal_64.c`).
   */
  get isEndedBySignals(): boolean {
    const isCall = BigInt.asIntN(64, this.#registers.get("orig_ax")) >= 0n;
    const code = BigInt.asIntN(64, this.#registers.get("ax"));
    if (!isCall || code !== BigInt(-Errno.ERESTARTNOHAND)) return false;
    return (this.#caught & ~this.#signalMask & ~NOT_AWAITED) !== 0n;
  }

  /**
   * All signals but those that come of its own code, unless it has these blocked itself: the kernel kills a thread that
   * has them blocked (`force_sig_info_to_task()` of `kernel/signal.c`).
   */
  get halfwayMask(): bigint {
    return ALL_SIGNALS & ~UNBLOCKABLE & (~OF_ITSELF | BigInt.asUintN(64, this.#signalMask));
  }

  #note(): void {
    this.#noted?.change(this.describeUndo());
  }

  /** Who has been told of it, if it is parked. */
  protected get rescuer(): Rescuer | undefined {
    return this.#parked?.rescuer;
  }

  /** Says to whoever was told of it that it has been let go. */
  protected forget(): void {
    this.#noted?.erase();
  }

  /** Says that it has ended, or that another thread has taken its id by execve(2). */
  lose(): void {
    this.#lost = true;
  }

  /** Whether {@link lose} was called. */
  protected get isLost(): boolean {
    return this.#lost;
  }

  /** Says that it was killed and its end awaited: there is nothing to let go of. */
  end(): void {
    this.#ended = true;
  }

  /** Whether {@link end} was called. */
  protected get hasEnded(): boolean {
    return this.#ended;
  }

  /**
   * Turns ptrace options on, in addition to those that are, until the thread is let go.
   *
   * @returns 0, or the negative errno; then nothing changed
   */
  addOptions(options: bigint): bigint {
    const all = this.#options | options;
    const result = setOptions(this.tid, all);
    if (isErrno(result)) return result;
    this.#options = all;
    this.#note();
    return result;
  }

  /**
   * Turns ptrace options on in many threads, as {@link addOptions} does.
   *
   * @returns what came of it for each; those that have them now are to note it ({@link noteOptions}) where calls in them
   * need the options
   */
  static addOptionsToAll(threads: readonly TraceeState[], options: bigint): number[] {
    // They have the same ones already, but for a few.
    const [usual = 0n] = threads.map((thread) => thread.#options);
    const many = threads.filter((thread) => thread.#options === usual);
    const results = setOptionsOfMany(many.map(({ tid }) => tid), usual | options);
    const found = new Map(many.map((thread, index) => [thread, results[index] as number]));
    return threads.map((thread) => {
      const result = found.get(thread) ?? Number(setOptions(thread.tid, thread.#options | options));
      if (result === 0) thread.#options |= options;
      return result;
    });
  }

  /** Notes the ptrace options in force, for whoever goes on in the tool's place. */
  noteOptions(): void {
    this.#note();
  }

  /** The ptrace options in force. */
  get options(): bigint {
    return this.#options;
  }

  /** The signal that ends programs in this thread: one that does not wait for it or its process already. */
  endSignal(sharedPending: readonly Siginfo[]): number {
    if (this.#endSignal === undefined) {
      this.#endSignal = this.#findEndSignal(sharedPending);
      this.#blockSignals();
    }
    return this.#endSignal;
  }

  #findEndSignal(shared: readonly Siginfo[], caught?: bigint): number {
    const signal = chooseEndSignal({
      waiting: [...this.pending, ...shared].map(({ signal }) => signal),
      caught,
      blocked: this.#signalMask,
      isStopped: this.groupStop !== 0,
    });
    if (signal !== undefined) return signal;
    throw new StasisError("unsupported", `thread ${this.tid} has too many signals pending`, {
      pid: this.tid,
      hint: "let it handle its signals, then try again",
    });
  }

  /** Whether a signal is the one that ends programs in it. */
  protected isEndSignal(signal: number): boolean {
    return signal === this.#endSignal;
  }

  /** Blocks all signals but the one that ends programs. */
  #blockSignals(): void {
    setSignalMask(this.tid, this.#waitingMask);
  }

  /** Blocks that one as well, or no longer: whoever traces the thread has no use for it. */
  protected blockAll(all: boolean): void {
    this.#blocksAll = all;
    this.#note();
    this.#blockSignals();
  }

  get #waitingMask(): bigint {
    if (this.#blocksAll) return ALL_SIGNALS;
    return ALL_SIGNALS & ~signalBit(this.#endSignal ?? 0);
  }

  /** The registers to start from in whatever runs in the thread: those with which it waits, if it does. */
  protected baseRegisters(): Registers {
    const registers = this.#registers.copy();
    if (this.#parked === undefined) return registers;
    const { place, rescuer } = this.#parked;
    return registers.set("r15", rescuer.mark).set("ip", place.address).set("flags", WAITING_FLAGS)
      .set("orig_ax", -1n).set("ax", place.isCall ? BigInt(SYSCALLS.pause) : 0n);
  }

  /** The registers with which a thread makes a single call, by its number. */
  callRegisters(
    instruction: RemoteAddress,
    number: bigint | number,
    ...args: readonly (bigint | number)[]
  ): Registers {
    const registers = this.baseRegisters();
    registers.set("ax", BigInt(number)).set("orig_ax", -1n).set("ip", instruction);
    (["di", "si", "dx", "r10", "r8", "r9"] as const).forEach((register, index) =>
      registers.set(register, BigInt(args[index] ?? 0))
    );
    return registers;
  }
}
