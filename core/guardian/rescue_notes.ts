/**
 * Writing what is to be undone to the guardian's table (`rescue_table.ts`): first the block, then the word that links it
 * in. Where the table lies is the writer's matter. Blocks of what has been undone are used again, once nothing that was
 * noted later of the same process is in force: it is undone first.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import type {
  CallUndo,
  ChildUndo,
  ListedCall,
  MemoryUndo,
  Noted,
  NotedThread,
  OutsideUndo,
  ThreadUndo,
} from "../remote/undo.ts";
import { tableAddress } from "./rescue_entries.ts";
import { isUsual, ThreadPattern } from "./rescue_patterns.ts";
import {
  type Before,
  type Block,
  callBlock,
  childBlock,
  endBlock,
  memoryBlock,
  outsideBlock,
  processBlock,
  type ProcessPlace,
  processPlace,
  type SignalBlock,
  signalBlock,
  stopBlock,
  threadBlock,
} from "./rescue_blocks.ts";
import {
  BLOCK_SIZE,
  decideBy,
  type Decision,
  FIRST_BLOCK,
  type ListPlace,
  TABLE_SIZE,
  type WordWrite,
} from "./rescue_table.ts";

/**
 * Writes bytes to the table.
 *
 * @param at in bytes from its beginning
 * @throws {StasisError} if nobody is left who would read them
 */
export type WriteTable = (at: number, bytes: Uint8Array) => void;

/** A process whose rescue is in the table. */
interface NotedProcess {
  readonly place: ProcessPlace;
  /** Where the word stands that says which signal is sent next. */
  nextSignal: number;
  readonly noted: Noted;
  /** What is to be undone in it before its threads go on, oldest first. */
  readonly tasks: NotedTask[];
}

/** A block in the list of what is undone in a process. */
interface NotedTask {
  readonly at: number;
  /** What comes behind it in the list. */
  readonly next: bigint;
  isErased: boolean;
}

/** In how many lists a thread's block is at the most. */
const MOST_LISTS = 4;

/** Writes the block of a thread again. @param first where that stands which lay before it in its lists */
type RewriteThread = (at: number, place: ProcessPlace, undo: ThreadUndo, first: number) => void;

/** A thread that was noted, as one object: there are tens of thousands. */
class ThreadNote implements NotedThread {
  readonly #at: number;
  readonly #place: ProcessPlace;
  readonly #first: number;
  readonly #off: WordWrite;
  readonly #rewrite: RewriteThread;
  readonly #switchOff: (word: WordWrite) => void;

  constructor(
    at: number,
    place: ProcessPlace,
    first: number,
    off: WordWrite,
    rewrite: RewriteThread,
    switchOff: (word: WordWrite) => void,
  ) {
    this.#at = at;
    this.#place = place;
    this.#first = first;
    this.#off = off;
    this.#rewrite = rewrite;
    this.#switchOff = switchOff;
  }

  erase(): void {
    this.#switchOff(this.#off);
  }

  change(undo: ThreadUndo): void {
    this.#rewrite(this.#at, this.#place, undo, this.#first);
  }
}

/** Writes blocks that lie one behind the other with as few writes as can be. */
class BlockWriter {
  readonly #write: WriteTable;
  readonly #bytes: Uint8Array;
  #at = 0;
  #count = 0;

  /** @param blocks how many there are */
  constructor(write: WriteTable, blocks: number) {
    this.#write = write;
    this.#bytes = new Uint8Array(BLOCK_SIZE * Math.min(blocks, BLOCKS_AT_ONCE));
  }

  /** Where a block is made, until the next one is asked for. Whatever stood there before is to be overwritten. */
  room(at: number): Uint8Array {
    if (this.#count === BLOCKS_AT_ONCE || at !== this.#at + this.#count * BLOCK_SIZE) {
      this.flush();
      this.#at = at;
    }
    const start = this.#count++ * BLOCK_SIZE;
    return this.#bytes.subarray(start, start + BLOCK_SIZE);
  }

  /** Writes what was made and is not written yet. */
  flush(): void {
    if (this.#count > 0) this.#write(this.#at, this.#bytes.subarray(0, this.#count * BLOCK_SIZE));
    this.#count = 0;
  }
}

/** How many blocks are written at once. */
const BLOCKS_AT_ONCE = 16;

/** The notes of one guardian. */
export class RescueNotes {
  readonly #mark: bigint;
  readonly #write: WriteTable;
  readonly #processes = new Map<number, NotedProcess>();
  /** The newest block of each list, by where its head stands. */
  readonly #newest = new Map<number, bigint>();
  #next = FIRST_BLOCK;
  /** By whether the undo says what is to be done where a thread may have handled a signal. */
  readonly #patterns = new Map<boolean, ThreadPattern>();
  /** Blocks that were used and are in no list any more. */
  readonly #free: number[] = [];

  /** @param mark what tells threads that wait from others */
  constructor(mark: bigint, write: WriteTable) {
    this.#mark = mark;
    this.#write = write;
  }

  /** Notes a process: nothing is undone in it yet; it is killed where the tree is to be ended whole. */
  noteProcess(pid: number): Noted {
    return this.#process(pid).noted;
  }

  /** Notes threads, those of a process one behind the other, with as few writes as can be. */
  noteThreads(undos: readonly ThreadUndo[]): NotedThread[] {
    /** What lay before each in its lists, in the order in which that is asked for. */
    const before = new BigUint64Array(undos.length * MOST_LISTS);
    const rewrite: RewriteThread = (at, place, undo, first) => {
      // What lies before a block stays where it is.
      let next = first;
      const asked = () => before[next++] as bigint;
      this.#write(at, threadBlock(at, place, undo, this.#mark, asked).bytes);
    };
    const switchOff = (word: WordWrite) => this.#tryWriteWord(word);
    /** The newest block of each list that these come into, and the list's place. */
    const newest = new Map<number, { readonly list: ListPlace; start: bigint }>();
    const places = undos.map(({ pid }) => ({
      at: this.#allocate(),
      place: this.#process(pid).place,
    }));
    const writer = new BlockWriter(this.#write, undos.length);
    const noted = undos.map((undo, index): NotedThread => {
      const { at, place } = places[index] as typeof places[number];
      const first = index * MOST_LISTS;
      let asked = first;
      const block = this.#threadBlock(at, place, undo, (list) => {
        const start = newest.get(list.head)?.start ?? this.#before(list);
        before[asked++] = start;
        return start;
      }, writer.room(at));
      for (const { list, start } of block.links) {
        const known = newest.get(list.head);
        if (known === undefined) newest.set(list.head, { list, start });
        else known.start = start;
      }
      return new ThreadNote(at, place, first, block.off, rewrite, switchOff);
    });
    writer.flush();
    for (const { list, start } of newest.values()) {
      this.#writeWord({ at: list.head, value: start });
      this.#newest.set(list.head, start);
    }
    return noted;
  }

  /** Notes a call. */
  noteCall(undo: CallUndo): Noted {
    const process = this.#process(undo.pid);
    const at = this.#allocate();
    return this.#linkTask(
      process,
      at,
      callBlock(at, process.place, undo, this.#mark, this.#before),
    );
  }

  /** Notes a child. */
  noteChild(undo: ChildUndo): Noted {
    const process = this.#process(undo.pid);
    const at = this.#allocate();
    return this.#linkTask(
      process,
      at,
      childBlock(at, process.place, undo, this.#mark, this.#before),
    );
  }

  /** Notes memory. */
  noteMemory(undo: MemoryUndo): Noted {
    const process = this.#process(undo.pid);
    const at = this.#allocate();
    return this.#linkTask(
      process,
      at,
      memoryBlock(at, process.place, undo, this.#mark, this.#before),
    );
  }

  /** Notes calls of the guardian's own. */
  noteOutside({ pid, calls }: OutsideUndo): Noted {
    const process = this.#process(pid);
    const at = this.#allocate();
    return this.#linkTask(process, at, outsideBlock(at, process.place, calls, this.#before));
  }

  /** Notes such calls for the end of the tree. */
  noteEnd(calls: readonly ListedCall[]): Noted {
    const at = this.#allocate();
    return this.#link(at, endBlock(at, calls, this.#before));
  }

  /** Notes a signal, behind those that were noted of the process before. */
  noteSignal(pid: number, tid: number, info: Siginfo): Noted {
    return this.#linkSignal(pid, (at, place) => signalBlock(at, place, pid, tid, info));
  }

  /**
   * Notes that a process is to be left stopped where it was decided so, behind the signals that were noted of it before.
   *
   * @param tid a thread of it that waits
   */
  noteStop(pid: number, tid: number): void {
    this.#linkSignal(pid, (at, place) => stopBlock(at, place, pid, tid, this.#mark));
  }

  /** From now on the tree is ended whole if the tool dies and this file is there by then. @param path NUL-terminated */
  endTreeIf(path: Uint8Array): void {
    this.#decide(path, "end");
  }

  /** From now on processes are left stopped ({@link noteStop}) if the tool dies and this file is there by then. */
  stopTreeIf(path: Uint8Array): void {
    this.#decide(path, "stop");
  }

  #decide(file: Uint8Array, decision: Decision): void {
    const { at, path, mode } = decideBy(file, decision);
    this.#write(at, path);
    this.#writeWord(mode);
  }

  #linkSignal(pid: number, make: (at: number, place: ProcessPlace) => SignalBlock): Noted {
    const at = this.#allocate();
    const process = this.#process(pid);
    const { bytes, off, next } = make(at, process.place);
    this.#write(at, bytes);
    this.#writeWord({ at: process.nextSignal, value: tableAddress(at) });
    process.nextSignal = next;
    return { erase: () => this.#tryWriteWord(off) };
  }

  #threadBlock(
    at: number,
    place: ProcessPlace,
    undo: ThreadUndo,
    before: Before,
    bytes: Uint8Array,
  ): Pick<Block, "links" | "off"> {
    if (!isUsual(undo)) {
      const block = threadBlock(at, place, undo, this.#mark, before);
      bytes.set(block.bytes);
      return { links: block.links, off: block.off };
    }
    const isHalfway = undo.halfway !== undefined;
    let pattern = this.#patterns.get(isHalfway);
    if (pattern === undefined) {
      this.#patterns.set(isHalfway, pattern = new ThreadPattern(this.#mark, isHalfway));
    }
    const { links, off } = pattern.make(at, place, undo, before, bytes);
    return { links, off };
  }

  /** Forgets them all, when nobody reads them any more. */
  forget(): void {
    this.#processes.clear();
    this.#newest.clear();
    this.#patterns.clear();
  }

  #process(pid: number): NotedProcess {
    const known = this.#processes.get(pid);
    if (known !== undefined) return known;
    const at = this.#allocate();
    const place = processPlace(at);
    const noted = this.#link(at, processBlock(at, pid, this.#before));
    const process: NotedProcess = { place, nextSignal: place.signals.head, noted, tasks: [] };
    this.#processes.set(pid, process);
    return process;
  }

  #allocate(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const at = this.#next;
    if (BigInt(at + BLOCK_SIZE) > TABLE_SIZE) {
      throw new StasisError("unsupported", "the tree has too many threads for one guardian");
    }
    this.#next = at + BLOCK_SIZE;
    return at;
  }

  readonly #before = (list: ListPlace): bigint => this.#newest.get(list.head) ?? list.end;

  #link(at: number, { bytes, links, off }: Block): Noted {
    this.#write(at, bytes);
    for (const { list, start } of links) {
      this.#writeWord({ at: list.head, value: start });
      this.#newest.set(list.head, start);
    }
    return { erase: () => this.#tryWriteWord(off) };
  }

  #linkTask(process: NotedProcess, at: number, block: Block): Noted {
    const { erase } = this.#link(at, block);
    const task: NotedTask = { at, next: block.off.value, isErased: false };
    process.tasks.push(task);
    return {
      erase: () => {
        if (task.isErased) return;
        task.isErased = true;
        erase();
        this.#unlinkErased(process);
      },
    };
  }

  /** Takes the newest blocks out of the list of a process for as long as they are erased. */
  #unlinkErased({ place: { tasks: { head } }, tasks }: NotedProcess): void {
    for (let last = tasks.at(-1); last?.isErased; last = tasks.at(-1)) {
      tasks.pop();
      this.#tryWriteWord({ at: head, value: last.next });
      this.#newest.set(head, last.next);
      this.#free.push(last.at);
    }
  }

  /** What is erased has been undone already: where nobody is left who would undo it again, all is well. */
  #tryWriteWord(word: WordWrite): void {
    try {
      this.#writeWord(word);
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
    }
  }

  #writeWord({ at, value }: WordWrite): void {
    this.#write(at, new Uint8Array(BigUint64Array.of(value).buffer));
  }
}
