/**
 * The rescue program: what the guardian runs when the tool is dead, as entries for the machine code of
 * `core/linux/x86_64/program_code.ts`. Pure: blocks of bytes and where they go.
 *
 * The head stands at the beginning. Behind it lie blocks of {@link BLOCK_SIZE}, one for everything that was noted.
 * A block is in one list, or a thread's in three, whose newest one the head jumps to; each block ends by jumping to
 * the one before it. Linking a block in is one word written, and so is switching it off (its gate): the tool
 * may die between any two writes, and the program is whole.
 *
 * ```text
 * wait until the tool is dead
 * where the tool was about to kill the tree: are the images there?  yes: kill list, end
 * stop list      seize and interrupt every thread
 * await list     wait until each has stopped
 * task list      undo what was done to whole processes: memory, calls made in them
 * thread list    put every thread back that has the mark of the waiting ones; let go of all
 * signal list    send again what was taken on its way
 * ```
 *
 * All threads stop before anything is undone, since those of a process share what is undone.
 *
 * @module
 */
import { PTRACE } from "../linux/ptrace.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { SIG } from "../linux/signals.ts";
import {
  ENTRY_ARGUMENTS,
  ENTRY_RESULT,
  ENTRY_SIZE,
  OPERATION_COPY,
  OPERATION_JUMP,
  OPERATION_UNLESS,
} from "../linux/x86_64/program_code.ts";
import { REGISTER, REGISTER_NAMES, type Registers } from "../linux/x86_64/registers.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import {
  type CallUndo,
  type MemoryUndo,
  ptraceCall,
  type RawCall,
  type ThreadUndo,
  Vector,
  VECTOR_SIZE,
  writeCall,
} from "../remote/undo.ts";

/** Where the table lies in the guardian. Nothing else is there: a seed has a page of code and a stack. */
export const TABLE_ADDRESS = 0x10_0000_0000n;
/** The size of a block in bytes: a page, so that no write to one is done by halves. */
export const BLOCK_SIZE = 4096;
/** How much of the address space the table takes; only what is written to is really there. */
export const TABLE_SIZE = 1n << 28n;

const WALL = 0x40000000n;
const POLLIN = 1;
const REGISTERS_SIZE = REGISTER_NAMES.length * 8;

/** Where the parts of the head stand, by entries. */
const HEAD = {
  FIRST: 0,
  MODE: 2,
  DECIDE: 3,
  KILL: 6,
  STOP: 7,
  AWAIT: 8,
  TASKS: 9,
  THREADS: 10,
  SIGNALS: 11,
  QUIT: 12,
  EXIT: 13,
  SECOND: 14,
} as const;
const ENTRIES_END = 19 * ENTRY_SIZE;
const POLL_TOOL = ENTRIES_END, POLL_FIRST = ENTRIES_END + 8, ZERO = ENTRIES_END + 16;
const TAIL = ENTRIES_END + 64;
/** The path of the images, of up to a page, behind the head. */
const PATH = 4096;
/** Where the blocks begin. */
export const FIRST_BLOCK = 8192;

/** An address of the table in the guardian. @param at bytes from its beginning */
export function tableAddress(at: number): bigint {
  return TABLE_ADDRESS + BigInt(at);
}

const entryAddress = (index: number): bigint => tableAddress(index * ENTRY_SIZE);

/** The lists of blocks. */
export type ListName = "KILL" | "STOP" | "AWAIT" | "TASKS" | "THREADS" | "SIGNALS";

/** Where each list goes on when it has come to its end. */
const AFTER: Readonly<Record<ListName, bigint>> = {
  KILL: entryAddress(HEAD.QUIT),
  STOP: entryAddress(HEAD.AWAIT),
  AWAIT: entryAddress(HEAD.TASKS),
  TASKS: entryAddress(HEAD.THREADS),
  THREADS: entryAddress(HEAD.SIGNALS),
  SIGNALS: entryAddress(HEAD.QUIT),
};

/** Eight bytes to be written to the table. */
export interface WordWrite {
  /** In bytes from its beginning. */
  readonly at: number;
  readonly value: bigint;
}

/** Where the word stands that says where the newest block of a list is. */
export function listHead(list: ListName): number {
  return HEAD[list] * ENTRY_SIZE + ENTRY_ARGUMENTS;
}

/** What a list begins with while it has no block. */
export function listEnd(list: ListName): bigint {
  return AFTER[list];
}

/** Entries one behind the other, and data behind those. */
class Entries {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  #at = 0;
  #dataAt: number;

  /** @param dataAt where the data begins, in bytes from the beginning of the block */
  constructor(base: number, size: number, dataAt: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
    this.#base = base;
    this.#dataAt = dataAt;
  }

  /** The address of the next entry. */
  get here(): bigint {
    return tableAddress(this.#base + this.#at);
  }

  /** The address of the entry that lies so many behind the next one. */
  ahead(count: number): bigint {
    return this.here + BigInt(count * ENTRY_SIZE);
  }

  /** @returns the address of the entry's result */
  entry(operation: bigint, ...args: bigint[]): bigint {
    const at = this.#at;
    this.#view.setBigUint64(at, BigInt.asUintN(64, operation), true);
    args.forEach((arg, index) =>
      this.#view.setBigUint64(at + ENTRY_ARGUMENTS + index * 8, BigInt.asUintN(64, arg), true)
    );
    this.#at += ENTRY_SIZE;
    return tableAddress(this.#base + at + ENTRY_RESULT);
  }

  jump(to: bigint): void {
    this.entry(OPERATION_JUMP, to);
  }

  unless(word: bigint, value: bigint, to: bigint): void {
    this.entry(OPERATION_UNLESS, word, value, to);
  }

  call(call: RawCall): bigint {
    const args = call.args.map((arg) => {
      if (arg instanceof Uint8Array) return this.data(arg);
      if (!(arg instanceof Vector)) return arg;
      const vector = new Uint8Array(VECTOR_SIZE);
      const view = new DataView(vector.buffer);
      view.setBigUint64(0, arg.base instanceof Uint8Array ? this.data(arg.base) : arg.base, true);
      view.setBigUint64(8, arg.length, true);
      return this.data(vector);
    });
    return this.entry(BigInt(SYSCALLS[call.name]), ...args);
  }

  /** Memory of the block. @returns its address */
  data(bytes: Uint8Array | number): bigint {
    const at = this.#dataAt;
    const size = typeof bytes === "number" ? bytes : bytes.byteLength;
    this.#dataAt = (at + size + 7) & ~7;
    // What is noted of a thread or a process is of a few kinds, and small.
    if (this.#dataAt > this.bytes.length) throw new RangeError("a block of the table overflows");
    if (typeof bytes !== "number") this.bytes.set(bytes, at);
    return tableAddress(this.#base + at);
  }
}

/**
 * The head of the table, with all lists empty.
 *
 * @param tool the descriptor of the tool's pidfd in both guardians
 * @param first the descriptor of the first guardian's pidfd in the second one
 * @param second the pid of the second guardian
 */
export function makeHead(tool: number, first: number, second: number): Uint8Array {
  const head = new Entries(0, FIRST_BLOCK, TAIL + 64);
  const poll = (at: number) => head.entry(BigInt(SYSCALLS.ppoll), tableAddress(at), 1n, 0n, 0n, 0n);
  // It can only fail for want of memory, or of a signal: then there is nothing to be done.
  head.unless(poll(POLL_TOOL), 1n, entryAddress(HEAD.QUIT));
  head.jump(entryAddress(HEAD.STOP));
  const found = head.entry(BigInt(SYSCALLS.access), tableAddress(PATH), 0n);
  head.unless(found, 0n, entryAddress(HEAD.STOP));
  head.jump(entryAddress(HEAD.KILL));
  for (const list of ["KILL", "STOP", "AWAIT", "TASKS", "THREADS", "SIGNALS"] as const) {
    head.jump(AFTER[list]);
  }
  head.call({ name: "kill", args: [BigInt(second), BigInt(SIG.KILL)] });
  head.entry(BigInt(SYSCALLS.exit_group), 0n);
  head.unless(poll(POLL_TOOL), 1n, entryAddress(HEAD.EXIT));
  head.unless(poll(POLL_FIRST), 1n, entryAddress(HEAD.EXIT));
  head.jump(entryAddress(HEAD.KILL));
  const view = new DataView(head.bytes.buffer);
  for (const [at, fd] of [[POLL_TOOL, tool], [POLL_FIRST, first]] as const) {
    view.setInt32(at, fd, true);
    view.setInt16(at + 4, POLLIN, true);
  }
  return head.bytes;
}

/** The registers with which both guardians begin. */
export const ENTRY_POINTS = {
  first: entryAddress(HEAD.FIRST),
  second: entryAddress(HEAD.SECOND),
  tail: tableAddress(TAIL),
  alive: tableAddress(ZERO),
} as const;

/**
 * Has the tree killed, and not rescued, if a file is there by then.
 *
 * @param path NUL-terminated, at most a page
 * @returns what to write, in this order
 */
export function decideBy(
  path: Uint8Array,
): { readonly path: Uint8Array; readonly at: number; readonly mode: WordWrite } {
  if (path.byteLength > 4096) throw new RangeError("that path is too long");
  const mode = HEAD.MODE * ENTRY_SIZE + ENTRY_ARGUMENTS;
  return { path, at: PATH, mode: { at: mode, value: entryAddress(HEAD.DECIDE) } };
}

/** A block, where it is linked in, and its gate. */
export interface Block {
  readonly bytes: Uint8Array;
  /** The lists that it belongs to, in the order in which it is to be linked in, and where it begins for each. */
  readonly links: readonly { readonly list: ListName; readonly start: bigint }[];
  /** What switches it off. */
  readonly off: WordWrite;
}

/** What the newest block of each list is, before this one. */
export type Before = (list: ListName) => bigint;

const GATE_ARGUMENT = ENTRY_ARGUMENTS;
const STOP_ENTRIES = 4;
/** Where the data of a block begins: more entries than this none has. */
const DATA = 24 * ENTRY_SIZE;

/**
 * A thread: stopping it, and putting it back if it has the mark. A signal that it is about to take it gets; so the
 * first of the two detaching calls fails where there is none (its number is no signal's then).
 */
export function threadBlock(at: number, undo: ThreadUndo, mark: bigint, before: Before): Block {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const tid = BigInt(undo.tid);
  const status = entries.data(8);
  const registers = entries.data(REGISTERS_SIZE);
  const skip = entries.ahead(STOP_ENTRIES - 1);
  entries.jump(entries.ahead(1));
  entries.call(ptraceCall(PTRACE.SEIZE, undo.tid, 0n, undo.options));
  entries.call(ptraceCall(PTRACE.INTERRUPT, undo.tid));
  entries.jump(before("STOP"));

  // Those that wait still run, and each round of them takes its time: none is waited for before all were asked.
  const awaiting = entries.here;
  entries.call({ name: "wait4", args: [tid, status, WALL, 0n] });
  entries.jump(before("AWAIT"));

  const thread = entries.here;
  entries.call(ptraceCall(PTRACE.GETREGS, undo.tid, 0n, registers));
  const { calls, afterSignal, waitingMask } = undo;
  const more = afterSignal === undefined ? 0 : 4;
  const end = entries.ahead(1 + calls.length + more);
  entries.unless(registers + BigInt(REGISTER.r15 * 8), mark, end);
  const signals = entries.data(8);
  if (afterSignal !== undefined) {
    entries.call(ptraceCall(PTRACE.GETSIGMASK, undo.tid, 8n, signals));
  }
  for (const call of calls) entries.call(call);
  if (afterSignal !== undefined) {
    entries.unless(signals, waitingMask, entries.ahead(2));
    entries.jump(end);
    entries.call(afterSignal);
  }
  // The signal of a stop is the second byte of its status; what is no signal's stop has more in it.
  const detach = entries.ahead(1);
  entries.entry(OPERATION_COPY, detach + BigInt(ENTRY_ARGUMENTS + 24), status + 1n, 4n);
  entries.call(ptraceCall(PTRACE.DETACH, undo.tid));
  entries.call(ptraceCall(PTRACE.DETACH, undo.tid));
  entries.jump(before("THREADS"));
  return {
    bytes: entries.bytes,
    // Let go of without having been stopped, nothing happens to it; so this comes first.
    links: [
      { list: "THREADS", start: thread },
      { list: "AWAIT", start: awaiting },
      { list: "STOP", start: tableAddress(at) },
    ],
    off: { at: at + GATE_ARGUMENT, value: skip },
  };
}

/** What is done only where a thread has the mark, behind a gate. */
function guarded(
  at: number,
  tid: number,
  mark: bigint,
  before: Before,
  calls: (entries: Entries) => void,
): Block {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const registers = entries.data(REGISTERS_SIZE);
  const next = before("TASKS");
  entries.jump(entries.ahead(1));
  entries.call(ptraceCall(PTRACE.GETREGS, tid, 0n, registers));
  entries.unless(registers + BigInt(REGISTER.r15 * 8), mark, next);
  calls(entries);
  entries.jump(next);
  return {
    bytes: entries.bytes,
    links: [{ list: "TASKS", start: tableAddress(at) }],
    off: { at: at + GATE_ARGUMENT, value: next },
  };
}

/**
 * A call in a thread that waits, by its entry and exit stops: none of what follows it in the code is run. The last
 * stop is one in which the kernel looks at interrupted calls again (see `core/remote/tracee.ts`).
 */
export function callBlock(at: number, undo: CallUndo, mark: bigint, before: Before): Block {
  const { tid } = undo;
  return guarded(at, tid, mark, before, (entries) => {
    const status = entries.data(8);
    const wait: RawCall = { name: "wait4", args: [BigInt(tid), status, WALL, 0n] };
    entries.call(ptraceCall(PTRACE.SETREGS, tid, 0n, bytesOf(undo.registers)));
    for (let stops = 0; stops < 2; stops++) {
      entries.call(ptraceCall(PTRACE.SYSCALL, tid));
      entries.call(wait);
    }
    entries.call(ptraceCall(PTRACE.INTERRUPT, tid));
    entries.call(ptraceCall(PTRACE.CONT, tid));
    entries.call(wait);
  });
}

/** Memory of a process with a thread that waits. */
export function memoryBlock(at: number, undo: MemoryUndo, mark: bigint, before: Before): Block {
  return guarded(at, undo.tid, mark, before, (entries) => {
    entries.call(writeCall(undo.pid, undo.address, undo.bytes));
  });
}

/** A signal that was taken from a thread, as `requeue_signals.ts` sends it. */
export function signalBlock(
  at: number,
  pid: number,
  tid: number,
  info: Siginfo,
  before: Before,
): Block {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const next = before("SIGNALS");
  const [process, thread, signal] = [BigInt(pid), BigInt(tid), BigInt(info.signal)];
  entries.jump(entries.ahead(1));
  const sent = entries.call({
    name: "rt_tgsigqueueinfo",
    args: [process, thread, signal, info.bytes],
  });
  entries.unless(sent, 0n, entries.ahead(2));
  entries.jump(next);
  entries.call({ name: "tgkill", args: [process, thread, signal] });
  entries.jump(next);
  return {
    bytes: entries.bytes,
    links: [{ list: "SIGNALS", start: tableAddress(at) }],
    off: { at: at + GATE_ARGUMENT, value: next },
  };
}

/** A process that is to be killed, where all are. */
export function killBlock(at: number, pid: number, before: Before): Block {
  const entries = new Entries(at, BLOCK_SIZE, DATA);
  const next = before("KILL");
  entries.jump(entries.ahead(1));
  entries.call({ name: "kill", args: [BigInt(pid), BigInt(SIG.KILL)] });
  entries.jump(next);
  return {
    bytes: entries.bytes,
    links: [{ list: "KILL", start: tableAddress(at) }],
    off: { at: at + GATE_ARGUMENT, value: next },
  };
}

/** The registers as ptrace takes them. */
export function bytesOf(registers: Registers): Uint8Array {
  return new Uint8Array(registers.words.slice().buffer);
}
