/**
 * The blocks of threads that are put back by the same calls (`rescue_blocks.ts`), made after the pattern of one of them:
 * ten thousand threads are noted while they stand still. Pure.
 *
 * @module
 */
import { PTRACE } from "../linux/ptrace.ts";
import { REGISTER_NAMES } from "../linux/x86_64/registers.ts";
import { ptraceCall, type RawCall, type ThreadUndo } from "../remote/undo.ts";
import {
  type Before,
  type Block,
  type ProcessPlace,
  processPlace,
  threadBlock,
} from "./rescue_blocks.ts";
import { tableAddress } from "./rescue_entries.ts";
import { BLOCK_SIZE, LISTS } from "./rescue_table.ts";

/** Where the thread of the pattern and its process would have their blocks. */
const AT = 0x40_0000, PROCESS_AT = 0x41_0000;
/** What stands in the pattern for what is a thread's own: numbers that stand for nothing else in it. */
const TID = 0x7a1d_5e47, OPTIONS = 0x5e47_0000_0000_0001n, HALFWAY = 0x5e47_0000_0000_0002n;
const BEFORE = 0x5e47_0000_0000_0010n, DATA = 0x5e47_0000_0000_0020n;

const REGISTERS_SIZE = REGISTER_NAMES.length * 8;
const MASK_SIZE = 8;

/** What the calls that put a thread back are given: masks and registers. */
function dataOf({ calls, halfway }: ThreadUndo): readonly Uint8Array[] {
  const all = halfway === undefined ? calls : [...calls, halfway.call];
  return all.map(({ args }) => args[3] as Uint8Array);
}

/** What a thread is put back by that has no more than its mask and its registers to get back. */
const USUAL = [PTRACE.SETSIGMASK, PTRACE.SETREGS];
/** The same for one that is halfway in between. */
const USUAL_HALFWAY = [...USUAL, PTRACE.SETSIGMASK];

/** Whether a thread is put back by its mask and its registers, and by nothing else. */
export function isUsual({ pid, tid, calls, halfway }: ThreadUndo): boolean {
  const usual = halfway === undefined ? USUAL : USUAL_HALFWAY;
  return pid !== tid && calls.length === usual.length &&
    calls.every((call, index) => asks(call, usual[index] as bigint));
}

function asks({ name, args }: RawCall, request: bigint): boolean {
  return name === "ptrace" && args[0] === request;
}

/** Words of the pattern, by where they stand in bytes. */
interface Places {
  /** Addresses in the block itself, and in the block of the process. */
  readonly own: number[];
  readonly process: number[];
  readonly tid: number[];
  readonly options: number[];
  readonly halfway: number[];
  readonly before: [at: number, which: number][];
  /** Where each of the data begins. */
  readonly data: number[];
}

/** The pattern of the blocks of usual threads ({@link isUsual}). */
export class ThreadPattern {
  readonly #block: Block;
  readonly #view: DataView;
  readonly #places: Places = {
    own: [],
    process: [],
    tid: [],
    options: [],
    halfway: [],
    before: [],
    data: [],
  };

  /**
   * @param mark as for {@link threadBlock}
   * @param isHalfway whether the undo says what is to be done with a thread that is halfway
   */
  constructor(mark: bigint, isHalfway: boolean) {
    const words = (which: number, size: number) =>
      new Uint8Array(new BigUint64Array(size / 8).fill(DATA + BigInt(which)).buffer);
    const setMask = (which: number) =>
      ptraceCall(PTRACE.SETSIGMASK, TID, BigInt(MASK_SIZE), words(which, MASK_SIZE));
    const usual = [setMask(0), ptraceCall(PTRACE.SETREGS, TID, 0n, words(1, REGISTERS_SIZE))];
    const undo: ThreadUndo = {
      pid: TID + 1,
      tid: TID,
      options: OPTIONS,
      calls: isHalfway ? [...usual, setMask(2)] : usual,
      halfway: isHalfway ? { mask: HALFWAY, call: setMask(3) } : undefined,
    };
    let asked = 0n;
    const before = () => BEFORE + asked++;
    this.#block = threadBlock(AT, processPlace(PROCESS_AT), undo, mark, before);
    this.#view = new DataView(this.#block.bytes.buffer);
    for (let at = 0; at < BLOCK_SIZE; at += 8) this.#place(at, this.#view.getBigUint64(at, true));
  }

  #place(at: number, word: bigint): void {
    const places = this.#places;
    const isIn = (block: number) =>
      word >= tableAddress(block) && word < tableAddress(block + BLOCK_SIZE);
    if (isIn(AT)) places.own.push(at);
    else if (isIn(PROCESS_AT)) places.process.push(at);
    else if (word === BigInt(TID)) places.tid.push(at);
    else if (word === OPTIONS) places.options.push(at);
    else if (word === HALFWAY) places.halfway.push(at);
    else if (word >= DATA && word < DATA + 4n) places.data[Number(word - DATA)] ??= at;
    else if (word >= BEFORE && word < DATA) places.before.push([at, Number(word - BEFORE)]);
  }

  /** The block of a thread: what {@link threadBlock} makes of it. @param bytes where it is made */
  make(
    at: number,
    process: ProcessPlace,
    undo: ThreadUndo,
    before: Before,
    bytes: Uint8Array = new Uint8Array(BLOCK_SIZE),
  ): Block {
    bytes.set(this.#block.bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const { own, process: ofProcess, tid, options, halfway, before: links, data } = this.#places;
    // Addresses of the table differ in their lower halves alone, and by as much as the places in it do.
    const shift = (places: readonly number[], from: number, to: number) => {
      for (const place of places) {
        view.setUint32(place, view.getUint32(place, true) - from + to, true);
      }
    };
    shift(own, AT, at);
    shift(ofProcess, PROCESS_AT, process.at);
    for (const place of tid) view.setBigUint64(place, BigInt(undo.tid), true);
    for (const place of options) view.setBigUint64(place, BigInt.asUintN(64, undo.options), true);
    for (const place of halfway) view.setBigUint64(place, undo.halfway?.mask ?? 0n, true);
    dataOf(undo).forEach((one, which) => bytes.set(one, data[which]));
    const newest = [process.stop, process.await, LISTS.reap, process.threads].map(before);
    for (const [place, which] of links) {
      view.setBigUint64(place, newest[which] as bigint, true);
    }
    const moved = BigInt(at - AT);
    const [threads, awaiting, stop, reap] = this.#block.links.map(({ start }) => start + moved);
    return {
      bytes,
      links: [
        { list: process.threads, start: threads as bigint },
        { list: process.await, start: awaiting as bigint },
        { list: process.stop, start: stop as bigint },
        { list: LISTS.reap, start: reap as bigint },
      ],
      off: { at: this.#block.off.at - AT + at, value: this.#block.off.value + moved },
    };
  }
}
