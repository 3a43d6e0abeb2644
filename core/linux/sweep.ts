/**
 * The same system calls made for each of many threads, at the price of one call out of JavaScript for some dozens of
 * them: what is asked of a thousand threads while they stand still. Nothing is thrown here, and no object is made for
 * a thread: whoever looks at the answers takes the plain ones, and has those that are not asked for one by one, which
 * knows what each failure means.
 *
 * @module
 */
import { addressOf } from "./libc_ffi.ts";
import type { SyscallName } from "./x86_64/syscalls.ts";
import { type BatchCall, CallBatch, type PassedResult } from "./x86_64/call_batch_ffi.ts";

/** Stands for the id of the thread. */
export const TID: unique symbol = Symbol("tid");

/** Stands for a number that is given with the threads. */
export const GIVEN: unique symbol = Symbol("given");

/** Memory of the thread's own, so many bytes from its beginning, by its address. */
export class Own {
  constructor(readonly at: number) {}
}

/** What an earlier call of the same thread has returned, by its place in the list. */
export class Returned {
  constructor(readonly call: number) {}
}

/** What a call takes. */
export type SweepArgument =
  | bigint
  | number
  | Uint8Array
  | typeof TID
  | typeof GIVEN
  | Own
  | Returned;

/** One of the calls. Bytes stand for their address; they are the same memory for all threads. */
export interface SweepCall {
  readonly name: SyscallName;
  readonly args: readonly SweepArgument[];
}

/** What is known of one thread when its calls have been made. */
export interface SweepReply {
  /** What a call has returned: 0 or more, or the negative errno. */
  result(call: number): number;
  /** The thread's own memory, for as long as it is looked at: the next threads get the same. */
  readonly own: Uint8Array<ArrayBuffer>;
  /** The same as words. */
  readonly words: BigUint64Array<ArrayBuffer>;
}

/** What goes along with the calls. */
export interface SweepSteps {
  /** The number for calls that have one given, the same for all threads. */
  readonly given?: number | bigint;
  /** Writes to a thread's own memory before its calls are made; it has what was left there otherwise. */
  readonly fill?: (
    own: Uint8Array,
    words: BigUint64Array,
    index: number,
    address: bigint,
  ) => void;
  /** Is told of each thread, in their order, when its calls have been made, and those of some others. */
  readonly look: (tid: number, reply: SweepReply, index: number) => void;
}

/** An argument that is the thread's id, or the number that is given. */
interface VaryingArgument {
  /** Which of the entries that belong to a thread. */
  readonly entry: number;
  readonly position: number;
  readonly which: typeof TID | typeof GIVEN;
}

/** For how many threads calls are made together. */
const TOGETHER = 64, FEW = 8;

/** A list of calls that is made for threads again and again. */
export class Sweep {
  readonly #calls: readonly SweepCall[];
  readonly #size: number;
  readonly #together: number;
  #layout: Layout;

  /**
   * @param calls for each thread, in this order
   * @param size of a thread's own memory, in bytes
   * @param together for how many threads they are made at a time
   */
  constructor(calls: readonly SweepCall[], size = 0, together = TOGETHER) {
    this.#calls = calls;
    this.#size = size;
    this.#together = together;
    // Most processes have few threads, and to lay calls out for dozens takes longer than to make them.
    this.#layout = new Layout(calls, size, 1);
  }

  /** Makes the calls for these threads, some dozens at a time. */
  run(threads: readonly number[], steps: SweepSteps): void {
    if (this.#layout.room < Math.min(threads.length, this.#together)) {
      const room = Math.min(threads.length <= FEW ? FEW : this.#together, this.#together);
      this.#layout = new Layout(this.#calls, this.#size, room, this.#layout);
    }
    this.#layout.run(threads, steps);
  }
}

/** The calls for as many threads as there is room for, one thread's behind the other's. */
class Layout {
  /** For how many threads. */
  readonly room: number;
  readonly #batch: CallBatch;
  /** How many entries of the batch belong to a thread. */
  readonly #entries: number;
  /** The arguments that are set anew each time. */
  readonly #varying: readonly VaryingArgument[];
  readonly #replies: readonly SweepReply[];
  /** The threads' own memory, where it lies, and how far apart. */
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #address: bigint;
  readonly #step: number;

  /** @param former what was left in the memory of that one is in this one's too */
  constructor(calls: readonly SweepCall[], size: number, room: number, former?: Layout) {
    const step = (size + 15) & ~15;
    const memory = this.#memory = new Uint8Array(step * room);
    if (former !== undefined) memory.set(former.#memory);
    const address = this.#address = step === 0 ? 0n : addressOf(memory);
    this.#step = step;
    const places: number[] = [];
    const varying: VaryingArgument[] = [];
    const batch: (BatchCall | PassedResult)[] = [];
    for (let index = 0; index < room; index++) {
      const first = batch.length;
      for (const { name, args } of calls) {
        const passed = args.flatMap((arg, position) =>
          arg instanceof Returned ? [{ call: arg.call, position }] : []
        );
        const place = batch.length + passed.length;
        for (const { call, position } of passed) {
          batch.push({ from: first + (places[call] as number), to: place, position });
        }
        batch.push({
          name,
          args: args.map((arg) => {
            if (arg instanceof Own) return address + BigInt(index * step + arg.at);
            return typeof arg === "symbol" || arg instanceof Returned ? 0 : arg;
          }),
        });
        if (index > 0) continue;
        places.push(place);
        args.forEach((which, position) => {
          if (which === TID || which === GIVEN) varying.push({ entry: place, position, which });
        });
      }
    }
    const made = this.#batch = new CallBatch(batch);
    const entries = this.#entries = batch.length / room;
    this.#replies = Array.from({ length: room }, (_, index) => ({
      result: (call) => Number(made.result(index * entries + (places[call] as number))),
      own: memory.subarray(index * step, index * step + size),
      words: new BigUint64Array(memory.buffer, index * step, size >> 3),
    }));
    this.room = room;
    this.#varying = varying;
  }

  run(threads: readonly number[], { given = 0, fill, look }: SweepSteps): void {
    const other = BigInt(given);
    for (let start = 0; start < threads.length; start += this.room) {
      const count = Math.min(this.room, threads.length - start);
      for (let index = 0; index < count; index++) {
        const tid = BigInt(threads[start + index] as number);
        for (const { entry, position, which } of this.#varying) {
          const value = which === TID ? tid : other;
          this.#batch.setArgument(index * this.#entries + entry, position, value);
        }
        if (fill === undefined) continue;
        const { own, words } = this.#replies[index] as SweepReply;
        fill(own, words, start + index, this.#address + BigInt(index * this.#step));
      }
      this.#batch.run(count * this.#entries);
      for (let index = 0; index < count; index++) {
        look(threads[start + index] as number, this.#replies[index] as SweepReply, start + index);
      }
    }
  }
}

/** A sweep, or what has one, that is made when it is needed first. */
export function onceNeeded<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => made ??= make();
}
