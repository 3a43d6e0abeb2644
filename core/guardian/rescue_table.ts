/**
 * The rescue program: what the guardian runs when the tool is dead, as entries for the machine code of
 * `core/linux/x86_64/program_code.ts`. Pure: blocks of bytes and where they go (`rescue_notes.ts` puts them there).
 *
 * The head stands at the beginning. Behind it lie blocks of {@link BLOCK_SIZE}, one for everything that was noted.
 * A block is in one list, or a thread's in four, whose newest one the head or its process's block jumps to; each block
 * ends by jumping to the one before it, but for signals, which are sent in their order. Linking a block in is one word
 * written, and so is switching it off (its gate): the tool may die between any two writes, and the program is whole.
 *
 * ```text
 * wait until the tool is dead, and whoever traces threads in its place has let go of them
 * where the tool was about to kill the tree: are the images there?  yes: kill list, end
 * where it was about to leave it stopped: are they there?  yes: every process is stopped when it is put back
 * rounds over all processes; in each, one after the other:
 *   stop list      seize and interrupt every thread
 *   await list     wait until each has stopped
 *   task list      undo what was done to the process: memory, calls made in it
 *   (all others)   wait until they have come so far as well, but not for long
 *   signal list    send again what was taken on its way, and SIGSTOP where it is to be left stopped
 *   thread list    put every thread back that has the mark of the waiting ones; let go of all
 * ```
 *
 * All threads of a process stop before anything is undone, since they share what is undone; and processes may share
 * descriptor tables, so none runs before all are as they were. But none depends on the others: where one has to wait,
 * it says where it will go on (its block's first word), and the next one has its turn. When all wait, the guardian
 * sleeps until one of its tracees has done something. Where nothing happens, threads that were killed are reaped:
 * execve(2), and the end of a first thread, wait for that (`core/linux/interruptions.ts`), and PTRACE_SEIZE for the
 * former, which a timer interrupts. What does not come to stand still within {@link PATIENCE} seconds keeps nobody but
 * itself waiting.
 *
 * @module
 */
import { SIG, signalBit } from "../linux/signals.ts";
import { ENTRY_ARGUMENTS, ENTRY_SIZE } from "../linux/x86_64/program_code.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { Entries, tableAddress } from "./rescue_entries.ts";

/** The size of a block in bytes: a page, so that no write to one is done by halves. */
export const BLOCK_SIZE = 4096;
/** How much of the address space the table takes; only what is written to is really there. */
export const TABLE_SIZE = 1n << 28n;
/** How long processes wait for each other before they are let go of, in seconds. */
export const PATIENCE = 1;

const POLLIN = 1;
const SIG_UNBLOCK = 1n;
const ITIMER_REAL = 0n;
/** How long the guardian sleeps at most, and after how long PTRACE_SEIZE gives up waiting, in nanoseconds. */
const PERIOD = 10_000_000n;

/** Where the parts of the head stand, by entries. */
const HEAD = {
  FIRST: 0,
  MODE: 4,
  DECIDE: 5,
  KILL: 8,
  QUIT: 9,
  EXIT: 10,
  SECOND: 11,
  RESCUE: 16,
  ROUND: 19,
  PROCESSES: 20,
  ROUND_END: 21,
  PAUSE: 25,
  SILENT: 28,
  REAP: 31,
  DECIDE_STOP: 32,
} as const;
const WORDS = 36 * ENTRY_SIZE;
const ZERO = WORDS, ONE = WORDS + 8, LEFT = WORDS + 16, LETTING_GO = WORDS + 24;
const STOPPING = WORDS + 32, TAIL = WORDS + 40;
const DATA = TAIL + 64;
/** The path of the images, of up to a page, behind the head. */
const PATH = 4096;
/** Where the blocks begin. */
export const FIRST_BLOCK = 8192;

const entryAddress = (index: number): bigint => tableAddress(index * ENTRY_SIZE);

/** Eight bytes to be written to the table. */
export interface WordWrite {
  /** In bytes from its beginning. */
  readonly at: number;
  readonly value: bigint;
}

/** A list of blocks. */
export interface ListPlace {
  /** Where the word stands that says where its first block is, in bytes from the table's beginning. */
  readonly head: number;
  /** What that word holds while there is none: where the program goes on when the list has come to its end. */
  readonly end: bigint;
}

/** A list that begins at an entry, and goes on at another. */
export function listPlace(at: number, after: number): ListPlace {
  return { head: at + ENTRY_ARGUMENTS, end: tableAddress(after) };
}

const headList = (entry: number, after: number) =>
  listPlace(entry * ENTRY_SIZE, after * ENTRY_SIZE);

/** The lists of the whole tree. */
export const LISTS = {
  kill: headList(HEAD.KILL, HEAD.QUIT),
  processes: headList(HEAD.PROCESSES, HEAD.ROUND_END),
  reap: headList(HEAD.REAP, HEAD.ROUND),
} as const;

/** What the guardians have open. */
export interface GuardianDescriptors {
  /** The tool's pidfd. */
  readonly tool: number;
  /** The pidfd of whoever traces threads in its place. */
  readonly standIn: number;
  /** The first guardian's pidfd; in the second one alone. */
  readonly first: number;
  /** A timerfd. */
  readonly timer: number;
}

/** The head of the table, with all lists empty. @param second the pid of the second guardian */
export function makeHead(fds: GuardianDescriptors, second: number): Uint8Array {
  const head = new Entries(0, FIRST_BLOCK, WORDS, DATA);
  const words = (...values: bigint[]) =>
    head.data(new Uint8Array(BigUint64Array.from(values).buffer));
  const pollOf = (fd: number) => words(BigInt(fd) | BigInt(POLLIN) << 32n);
  const poll = (which: bigint, timeout = 0n) =>
    head.entry(BigInt(SYSCALLS.ppoll), which, 1n, timeout, 0n, 0n);
  const set = (word: number) =>
    head.copy(tableAddress(word), tableAddress(word === LEFT ? ZERO : ONE));
  const [tool, standIn] = [pollOf(fds.tool), pollOf(fds.standIn)] as const;
  const [first, timer] = [pollOf(fds.first), pollOf(fds.timer)] as const;

  // It can only fail for want of memory, or of a signal: then there is nothing to be done.
  head.unless(poll(tool), 1n, entryAddress(HEAD.QUIT));
  head.unless(poll(standIn), 1n, entryAddress(HEAD.QUIT));
  head.jump(entryAddress(HEAD.RESCUE));
  const found = head.entry(BigInt(SYSCALLS.access), tableAddress(PATH), 0n);
  head.unless(found, 0n, entryAddress(HEAD.RESCUE));
  head.jump(entryAddress(HEAD.KILL));
  head.jump(LISTS.kill.end);
  head.call({ name: "kill", args: [BigInt(second), BigInt(SIG.KILL)] });
  head.entry(BigInt(SYSCALLS.exit_group), 0n);

  head.unless(poll(tool), 1n, entryAddress(HEAD.EXIT));
  head.unless(poll(first), 1n, entryAddress(HEAD.EXIT));
  head.jump(entryAddress(HEAD.KILL));

  const alarm = words(signalBit(SIG.ALRM)), size = 8n;
  head.entry(BigInt(SYSCALLS.rt_sigprocmask), SIG_UNBLOCK, alarm, 0n, size);
  const [seconds, micro] = [0n, PERIOD / 1000n];
  head.entry(BigInt(SYSCALLS.setitimer), ITIMER_REAL, words(seconds, micro, seconds, micro), 0n);
  const patience = words(0n, 0n, BigInt(PATIENCE), 0n);
  head.entry(BigInt(SYSCALLS.timerfd_settime), BigInt(fds.timer), 0n, patience, 0n);
  set(LEFT);
  head.jump(LISTS.processes.end);
  head.unless(tableAddress(LEFT), 0n, entryAddress(HEAD.PAUSE));
  head.unless(tableAddress(LETTING_GO), 0n, entryAddress(HEAD.QUIT));
  set(LETTING_GO);
  head.jump(entryAddress(HEAD.ROUND));

  // Every stop and every end of a tracee sends one; it is blocked, and so kept until it is asked for.
  const child = words(signalBit(SIG.CHLD));
  const news = head.entry(BigInt(SYSCALLS.rt_sigtimedwait), child, 0n, words(0n, PERIOD), size);
  head.unless(news, BigInt(SIG.CHLD), entryAddress(HEAD.SILENT));
  head.jump(entryAddress(HEAD.ROUND));
  head.unless(poll(timer, words(0n, 0n)), 1n, entryAddress(HEAD.REAP));
  set(LETTING_GO);
  head.jump(LISTS.reap.end);

  const saved = head.entry(BigInt(SYSCALLS.access), tableAddress(PATH), 0n);
  head.unless(saved, 0n, entryAddress(HEAD.RESCUE));
  set(STOPPING);
  head.jump(entryAddress(HEAD.RESCUE));
  new DataView(head.bytes.buffer).setBigUint64(ONE, 1n, true);
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
 * Words that blocks use: 1, whether a process waits for something, whether all have been waited for, whether the tree is
 * to be left stopped.
 */
export const WORD = {
  one: tableAddress(ONE),
  left: tableAddress(LEFT),
  lettingGo: tableAddress(LETTING_GO),
  stopping: tableAddress(STOPPING),
} as const;

/** What becomes of a tree whose images are there: it is killed, or put back and left stopped. */
export type Decision = "end" | "stop";

/**
 * Has the tree killed, and not rescued, or left stopped, if a file is there by then.
 *
 * @param path NUL-terminated, at most a page
 * @returns what to write, in this order
 */
export function decideBy(
  path: Uint8Array,
  decision: Decision,
): { readonly path: Uint8Array; readonly at: number; readonly mode: WordWrite } {
  if (path.byteLength > 4096) throw new RangeError("that path is too long");
  const mode = HEAD.MODE * ENTRY_SIZE + ENTRY_ARGUMENTS;
  const value = entryAddress(decision === "end" ? HEAD.DECIDE : HEAD.DECIDE_STOP);
  return { path, at: PATH, mode: { at: mode, value } };
}
