/**
 * The blocks of the rescue program (`rescue_table.ts`): what was noted, as entries. Pure.
 *
 * @module
 */
import { Errno } from "../linux/errno.ts";
import { peekRequest, PTRACE } from "../linux/ptrace.ts";
import { Siginfo } from "../linux/siginfo.ts";
import { SIG, STOP_SIGNALS } from "../linux/signals.ts";
import { ENTRY_ARGUMENTS, ENTRY_SIZE } from "../linux/x86_64/program_code.ts";
import { REGISTER, REGISTER_NAMES } from "../linux/x86_64/registers.ts";
import { signalCalls } from "../remote/requeue_signals.ts";
import { stopCall } from "../remote/stop_all.ts";
import {
  type CallUndo,
  type ChildUndo,
  type ListedCall,
  type MemoryUndo,
  NO_CHILD,
  ptraceCall,
  Result,
  type ThreadUndo,
  Vector,
  writeCall,
} from "../remote/undo.ts";
import { Entries, tableAddress } from "./rescue_entries.ts";
import {
  BLOCK_SIZE,
  type ListPlace,
  listPlace,
  LISTS,
  WORD,
  type WordWrite,
} from "./rescue_table.ts";

/** Of wait4(2) and waitid(2), and what the latter waits for: one process or thread. */
const WALL = 0x40000000n, WNOHANG = 1n, WEXITED = 4n, WNOWAIT = 0x1000000n, P_PID = 1n;
/** How a thread has ended, in `si_code`: CLD_EXITED, CLD_KILLED, CLD_DUMPED (`include/uapi/asm-generic/siginfo.h`). */
const ENDS = [1n, 2n, 3n] as const;
/** Where `si_code` stands in a siginfo_t. */
const CODE_AT = 8n;
const REGISTERS_SIZE = REGISTER_NAMES.length * 8;
const MASK_SIZE = 8;
/** Where the data of a block begins: more entries than this none has but a thread's, which has less data. */
const DATA = 36 * ENTRY_SIZE, THREAD_DATA = 40 * ENTRY_SIZE;

/** A block, where it is linked in, and its gate. */
export interface Block {
  readonly bytes: Uint8Array;
  /** The lists that it belongs to, in the order in which it is to be linked in, and where it begins for each. */
  readonly links: readonly { readonly list: ListPlace; readonly start: bigint }[];
  /** What switches it off. */
  readonly off: WordWrite;
}

/** What the newest block of each list is, before this one. */
export type Before = (list: ListPlace) => bigint;

/** Where a process's block lies, and what those of its threads use of it. */
export interface ProcessPlace {
  /** In bytes from the table's beginning. */
  readonly at: number;
  readonly stop: ListPlace;
  readonly await: ListPlace;
  readonly tasks: ListPlace;
  readonly signals: ListPlace;
  readonly threads: ListPlace;
  /** The word that says where its rescue goes on. */
  readonly resume: bigint;
  /** Where those go on that have to wait. */
  readonly wait: bigint;
}

/** Where the parts of a process's block stand, by entries. */
const PROCESS = {
  RESUME: 0,
  WAIT: 1,
  STOP: 3,
  AWAIT: 4,
  TASKS: 5,
  BARRIER: 6,
  SIGNALS: 9,
  THREADS: 10,
  DONE: 11,
  KILL: 14,
} as const;

/** Where the parts of a process's block lie. @param at where it begins, in bytes from the table's beginning */
export function processPlace(at: number): ProcessPlace {
  const list = (entry: number, after: number) =>
    listPlace(at + entry * ENTRY_SIZE, at + after * ENTRY_SIZE);
  return {
    at,
    stop: list(PROCESS.STOP, PROCESS.AWAIT),
    await: list(PROCESS.AWAIT, PROCESS.TASKS),
    tasks: list(PROCESS.TASKS, PROCESS.BARRIER),
    signals: list(PROCESS.SIGNALS, PROCESS.THREADS),
    threads: list(PROCESS.THREADS, PROCESS.DONE),
    resume: tableAddress(at + ENTRY_ARGUMENTS),
    wait: tableAddress(at + PROCESS.WAIT * ENTRY_SIZE),
  };
}

/** A process, without threads: the lists of its rescue; and killing it, where all are to be killed. */
export function processBlock(at: number, pid: number, before: Before): Block {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const process = processPlace(at);
  const next = before(LISTS.processes), nextKill = before(LISTS.kill);
  const goOnAt = (address: bigint) => entries.copy(process.resume, entries.word(address));
  entries.jump(entries.ahead(PROCESS.STOP));
  entries.copy(WORD.left, WORD.one);
  entries.jump(next);
  for (const list of [process.stop, process.await, process.tasks]) entries.jump(list.end);
  goOnAt(entries.ahead(1));
  entries.unless(WORD.lettingGo, 0n, entries.ahead(2));
  entries.jump(next);
  for (const list of [process.signals, process.threads]) entries.jump(list.end);
  const kill = tableAddress(at + PROCESS.KILL * ENTRY_SIZE);
  const killGate = at + PROCESS.KILL * ENTRY_SIZE + ENTRY_ARGUMENTS;
  // The second guardian must not kill it any more, should this one wait for others.
  entries.copy(tableAddress(killGate), entries.word(nextKill));
  goOnAt(next);
  entries.jump(next);
  entries.jump(entries.ahead(1));
  entries.call({ name: "kill", args: [BigInt(pid), BigInt(SIG.KILL)] });
  entries.jump(nextKill);
  return {
    bytes: entries.bytes,
    links: [
      { list: LISTS.processes, start: tableAddress(at) },
      { list: LISTS.kill, start: kill },
    ],
    off: { at: killGate, value: nextKill },
  };
}

/** Gives the other processes their turn, and goes on at `address` in the next round. */
function yieldTurn(entries: Entries, process: ProcessPlace, address: bigint): void {
  entries.copy(process.resume, entries.word(address));
  entries.jump(process.wait);
}

/** Looks whether a thread has stopped or ended. @returns the address of the result; 0 is no */
function look(entries: Entries, tid: number, status: bigint): bigint {
  return entries.call({ name: "wait4", args: [BigInt(tid), status, WNOHANG | WALL, 0n] });
}

/**
 * Reaps a thread that has ended. Its stops are left to who waits for them, as for those of a call: of a tracee they are
 * told whatever is asked for (`wait_task_stopped()` of `kernel/exit.c`), so the end is looked at first.
 */
function reap(entries: Entries, tid: number, next: bigint): void {
  const info = entries.data(Siginfo.SIZE), code = entries.data(8);
  const thread = BigInt(tid);
  const options = WEXITED | WNOHANG | WNOWAIT | WALL;
  entries.call({ name: "waitid", args: [P_PID, thread, info, options, 0n] });
  entries.copy(code, info + CODE_AT, 4n);
  const reaping = entries.ahead(2 * ENDS.length + 1);
  for (const end of ENDS) {
    entries.unless(code, end, entries.ahead(2));
    entries.jump(reaping);
  }
  entries.jump(next);
  entries.call({ name: "wait4", args: [thread, 0n, WNOHANG | WALL, 0n] });
  entries.jump(next);
}

/**
 * A thread: stopping it, and putting it back if it has the mark, or giving it its mask where it is halfway. A signal that
 * it is about to take it gets; so the first of the two detaching calls fails where there is none (its number is no
 * signal's then).
 */
export function threadBlock(
  at: number,
  process: ProcessPlace,
  undo: ThreadUndo,
  mark: bigint,
  before: Before,
): Block {
  const { pid, tid, calls, halfway } = undo;
  const entries = new Entries(at, BLOCK_SIZE, THREAD_DATA);
  const status = entries.data(8);
  const registers = entries.data(REGISTERS_SIZE);
  // A thread may have been noted, put back, and noted again: its stop is told once, to the note that asked for it.
  const hasAsked = entries.word(0n);
  const skip = entries.ahead(8);
  entries.jump(entries.ahead(1));
  const seizing = entries.here;
  const seized = entries.call(ptraceCall(PTRACE.SEIZE, tid, 0n, undo.options));
  entries.unless(seized, BigInt.asUintN(64, BigInt(-Errno.EINTR)), entries.ahead(3));
  yieldTurn(entries, process, seizing);
  entries.unless(seized, 0n, entries.ahead(3));
  entries.call(ptraceCall(PTRACE.INTERRUPT, tid));
  entries.copy(hasAsked, WORD.one);
  entries.jump(before(process.stop));

  // Those that wait still run, and each round of them takes its time: none is waited for before all were asked.
  const awaiting = entries.here;
  entries.unless(hasAsked, 1n, entries.ahead(5));
  entries.unless(look(entries, tid, status), 0n, entries.ahead(3));
  yieldTurn(entries, process, awaiting);
  entries.jump(before(process.await));

  const reaping = entries.here;
  reap(entries, tid, before(LISTS.reap));

  // Last, since what a note is changed to may have more calls: where the others begin is known to their lists.
  const thread = entries.here;
  entries.call(ptraceCall(PTRACE.GETREGS, tid, 0n, registers));
  const rest = entries.ahead(1 + calls.length);
  entries.unless(
    registers + BigInt(REGISTER.r15 * 8),
    mark,
    halfway === undefined ? rest : rest + BigInt(ENTRY_SIZE),
  );
  for (const call of calls) entries.call(call);
  if (halfway !== undefined) {
    const signals = entries.data(8);
    const end = entries.ahead(4);
    entries.jump(end);
    entries.call(ptraceCall(PTRACE.GETSIGMASK, tid, BigInt(MASK_SIZE), signals));
    entries.unless(signals, halfway.mask, end);
    entries.call(halfway.call);
  }
  // The signal of a stop is the second byte of its status; what is no signal's stop has more in it.
  const detach = entries.ahead(1);
  entries.copy(detach + BigInt(ENTRY_ARGUMENTS + 24), status + 1n, 4n);
  entries.call(ptraceCall(PTRACE.DETACH, tid));
  entries.call(ptraceCall(PTRACE.DETACH, tid));
  entries.jump(before(process.threads));
  return {
    bytes: entries.bytes,
    // Let go of without having been stopped, nothing happens to it; so this comes first.
    links: [
      { list: process.threads, start: thread },
      { list: process.await, start: awaiting },
      { list: process.stop, start: tableAddress(at) },
      // Nobody waits for the end of the first thread.
      ...(tid === pid ? [] : [{ list: LISTS.reap, start: reaping }]),
    ],
    off: { at: at + ENTRY_ARGUMENTS, value: skip },
  };
}

/** What is done only where a thread has the mark, behind a gate. */
function guarded(
  at: number,
  process: ProcessPlace,
  tid: number,
  mark: bigint,
  before: Before,
  calls: (entries: Entries) => void,
): Block {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const registers = entries.data(REGISTERS_SIZE);
  const next = before(process.tasks);
  entries.jump(entries.ahead(1));
  entries.call(ptraceCall(PTRACE.GETREGS, tid, 0n, registers));
  entries.unless(registers + BigInt(REGISTER.r15 * 8), mark, next);
  calls(entries);
  entries.jump(next);
  return {
    bytes: entries.bytes,
    links: [{ list: process.tasks, start: tableAddress(at) }],
    off: { at: at + ENTRY_ARGUMENTS, value: next },
  };
}

/**
 * A call in a thread that waits, by its entry and exit stops: none of what follows it in the code is run. The last
 * stop is one in which the kernel looks at interrupted calls again (see `core/remote/tracee.ts`).
 */
export function callBlock(
  at: number,
  process: ProcessPlace,
  undo: CallUndo,
  mark: bigint,
  before: Before,
): Block {
  return guarded(at, process, undo.tid, mark, before, (entries) => {
    const registers = entries.data(new Uint8Array(undo.registers.words.slice().buffer));
    callIn(entries, process, undo.tid, registers);
  });
}

/** @param registers the address of those with which the thread makes the call */
function callIn(entries: Entries, process: ProcessPlace, tid: number, registers: bigint): void {
  const status = entries.data(8);
  const wait = (): void => {
    const looking = entries.here;
    entries.unless(look(entries, tid, status), 0n, entries.ahead(3));
    yieldTurn(entries, process, looking);
  };
  entries.call(ptraceCall(PTRACE.SETREGS, tid, 0n, registers));
  for (let stops = 0; stops < 2; stops++) {
    entries.call(ptraceCall(PTRACE.SYSCALL, tid));
    wait();
  }
  entries.call(ptraceCall(PTRACE.INTERRUPT, tid));
  entries.call(ptraceCall(PTRACE.CONT, tid));
  wait();
}

/** The size of a process id, in bytes. */
const ID_SIZE = 4n;

/** A child of a thread that waits, of which only memory of that thread tells: the guardian kills it, the thread reaps it. */
export function childBlock(
  at: number,
  process: ProcessPlace,
  { pid, tid, word, registers: given }: ChildUndo,
  mark: bigint,
  before: Before,
): Block {
  return guarded(at, process, tid, mark, before, (entries) => {
    // What cannot be read stays the id of nobody: that of 0 would be the guardians themselves.
    const words = given.copy().set("di", BigInt(NO_CHILD)).words;
    const registers = entries.data(new Uint8Array(words.slice().buffer));
    const id = registers + BigInt(REGISTER.di * 8);
    entries.call({
      name: "process_vm_readv",
      args: [BigInt(pid), new Vector(id, ID_SIZE), 1n, new Vector(word, ID_SIZE), 1n, 0n],
    });
    const killing = entries.ahead(2), reaping = entries.ahead(3);
    entries.copy(killing + BigInt(ENTRY_ARGUMENTS), id);
    entries.copy(reaping + BigInt(ENTRY_ARGUMENTS), id);
    entries.call({ name: "kill", args: [0n, BigInt(SIG.KILL)] });
    // One that is born while its parent is seized already is traced by the guardian (ptrace_init_task() of
    // `include/linux/ptrace.h`): only then, and before its parent, it has to reap it.
    const reaped = entries.call({ name: "wait4", args: [0n, 0n, WNOHANG | WALL, 0n] });
    entries.unless(reaped, BigInt.asUintN(64, BigInt(-Errno.ECHILD)), entries.ahead(2));
    entries.jump(entries.ahead(3));
    yieldTurn(entries, process, reaping);
    callIn(entries, process, tid, registers);
  });
}

/** Memory of a process with a thread that waits. */
export function memoryBlock(
  at: number,
  process: ProcessPlace,
  undo: MemoryUndo,
  mark: bigint,
  before: Before,
): Block {
  return guarded(at, process, undo.tid, mark, before, (entries) => {
    entries.call(writeCall(undo.pid, undo.address, undo.bytes));
  });
}

/** Calls that the guardian makes itself before threads of a process go on. */
export function outsideBlock(
  at: number,
  process: ProcessPlace,
  calls: readonly ListedCall[],
  before: Before,
): Block {
  return callsBlock(at, process.tasks, calls, before);
}

/** Calls that the guardian makes itself before the tree is killed. */
export function endBlock(at: number, calls: readonly ListedCall[], before: Before): Block {
  return callsBlock(at, LISTS.kill, calls, before);
}

function callsBlock(
  at: number,
  list: ListPlace,
  calls: readonly ListedCall[],
  before: Before,
): Block {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const next = before(list);
  entries.jump(entries.ahead(1));
  const results: bigint[] = [];
  for (const { name, args } of calls) {
    const uses = args.flatMap((arg, position) =>
      arg instanceof Result ? [{ position, from: results[arg.index] as bigint }] : []
    );
    uses.forEach(({ position, from }, index) => {
      const call = entries.ahead(uses.length - index);
      entries.copy(call + BigInt(ENTRY_ARGUMENTS + 8 * position), from);
    });
    results.push(entries.call({
      name,
      args: args.map((arg) => arg instanceof Result ? 0n : arg),
    }));
  }
  entries.jump(next);
  return {
    bytes: entries.bytes,
    links: [{ list, start: tableAddress(at) }],
    off: { at: at + ENTRY_ARGUMENTS, value: next },
  };
}

/** How many signals that wait are looked at for a SIGCONT: of the process's, and of the thread's. */
const LOOKED_AT = [{ shared: true, count: 8 }, { shared: false, count: 4 }] as const;

/** A signal that is sent before the threads of a process go on. */
export interface SignalBlock extends Omit<Block, "links"> {
  /** Where the word stands that says what is sent behind it. */
  readonly next: number;
}

/** A signal that was taken from a thread, as `requeue_signals.ts` sends it. */
export function signalBlock(
  at: number,
  process: ProcessPlace,
  pid: number,
  tid: number,
  info: Siginfo,
): SignalBlock {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const [first, otherwise] = signalCalls(pid, tid, info);
  const checks = STOP_SIGNALS.includes(info.signal)
    ? LOOKED_AT.reduce((sum, { count }) => sum + 1 + 2 * count, 0)
    : 0;
  const end = entries.ahead(checks + 5);
  entries.jump(entries.ahead(1));
  // A SIGCONT that waits came after the stop signal, which is undone by it.
  if (checks > 0) {
    for (const { shared, count } of LOOKED_AT) skipIfContinued(entries, tid, shared, count, end);
  }
  entries.unless(entries.call(first), 0n, entries.ahead(2));
  entries.jump(end);
  entries.call(otherwise);
  const next = at + Number(entries.here - tableAddress(at)) + ENTRY_ARGUMENTS;
  entries.jump(process.signals.end);
  return {
    bytes: entries.bytes,
    off: { at: at + ENTRY_ARGUMENTS, value: end },
    next,
  };
}

/**
 * The signal that leaves a process stopped, where it is to be left so: sent while a thread of it waits still. If none
 * does, the tool has sent it before it let that one go.
 *
 * @param tid the thread of the process that the tool lets go of last
 */
export function stopBlock(
  at: number,
  process: ProcessPlace,
  pid: number,
  tid: number,
  mark: bigint,
): SignalBlock {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const registers = entries.data(REGISTERS_SIZE);
  const end = entries.ahead(5);
  entries.jump(entries.ahead(1));
  entries.unless(WORD.stopping, 1n, end);
  entries.call(ptraceCall(PTRACE.GETREGS, tid, 0n, registers));
  entries.unless(registers + BigInt(REGISTER.r15 * 8), mark, end);
  entries.call(stopCall(pid));
  const next = at + Number(entries.here - tableAddress(at)) + ENTRY_ARGUMENTS;
  entries.jump(process.signals.end);
  return { bytes: entries.bytes, off: { at: at + ENTRY_ARGUMENTS, value: end }, next };
}

/** Goes on at `address` where a SIGCONT is among the first signals that wait. @param shared for the process */
function skipIfContinued(
  entries: Entries,
  tid: number,
  shared: boolean,
  count: number,
  address: bigint,
): void {
  const found = entries.data(count * Siginfo.SIZE);
  const request = peekRequest(0, shared, count);
  entries.call({ name: "ptrace", args: [PTRACE.PEEKSIGINFO, BigInt(tid), request, found] });
  for (let index = 0; index < count; index++) {
    // si_signo, and si_errno, which is 0.
    entries.unless(found + BigInt(index * Siginfo.SIZE), BigInt(SIG.CONT), entries.ahead(2));
    entries.jump(address);
  }
}
