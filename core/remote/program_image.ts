/**
 * How a syscall program lies in scratch memory: its bytes, made for an address, and what is read back of them.
 *
 * @module
 */
import {
  ENTRY_ARGUMENTS,
  ENTRY_RESULT,
  ENTRY_SIZE,
  OPERATION_BELOW,
  OPERATION_COPY,
  OPERATION_END,
  OPERATION_REQUIRED,
  TAIL_INFO,
  TAIL_SEQUEL,
  TAIL_SIZE,
  TAIL_STOPPED,
} from "../linux/x86_64/program_code.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { isErrno } from "../linux/errno.ts";
import { PAGE_SIZE } from "../linux/address.ts";
import { cString } from "../linux/libc_ffi.ts";
import { Siginfo } from "../linux/siginfo.ts";
import {
  CallResult,
  ScratchData,
  ScratchInteger,
  ScratchPart,
  type SyscallProgram,
} from "./program.ts";
import { ProgramReply } from "./program_reply.ts";

/** Marks the signal that ends a program, so that it is not mistaken for one that somebody sent. */
export const PROGRAM_END_MARK = 0x5354_4153_4953_0001n;

const align = (size: number): number => (size + 15) & ~15;

/** What stands where the result of a call will be: no call returns that little. */
const NOT_MADE = -(1n << 63n);

/** The thread that runs a program, as it sees itself, and the signal by which the program ends. */
export interface ProgramThread {
  readonly tgid: number;
  readonly tid: number;
  readonly signal: number;
}

/** The bytes of a program at address 0. */
interface Pattern {
  readonly pattern: Uint8Array;
  /** Where addresses stand in them. */
  readonly addresses: readonly number[];
}

/** How a program lies in scratch memory: which bytes go where, and what is read back. */
export class ProgramImage {
  /** How many bytes it takes. */
  readonly size: number;
  /** Where the entries, and with them what is read back, begin. */
  readonly entriesAt: number;
  /** Where the tail lies. */
  readonly tailAt: number;
  /** Where the entries of the sequel begin; undefined if there is none. */
  readonly sequelAt: number | undefined;
  readonly #program: SyscallProgram;
  readonly #infoAt: number;
  readonly #positions: number[] = [];
  readonly #offsets = new Map<ScratchData, number>();
  readonly #strings = new Map<string | Uint8Array, ScratchData>();
  #isEmitted = false;
  #pattern: Pattern | undefined;

  /** Lays a program out. */
  constructor(program: SyscallProgram) {
    this.#program = program;
    const inputs: ScratchData[] = [];
    const outputs: ScratchData[] = [];
    const seen = new Set<ScratchData>();
    const note = (data: ScratchData): void => {
      if (seen.has(data) || data === ScratchData.SPARE_PAGE) return;
      seen.add(data);
      (data.output ? outputs : inputs).push(data);
      for (const { to } of data.pointers) note(to);
    };
    let entries = 0;
    let sequel: number | undefined;
    for (const [index, call] of program.readonlyCalls.entries()) {
      if (index === program.sequelAt) sequel = ++entries;
      if (call.where !== undefined) entries++;
      for (const argument of call.args) {
        // Nearly all are, and there may be a hundred thousand.
        if (typeof argument === "bigint" || typeof argument === "number") continue;
        if (typeof argument === "string" || argument instanceof Uint8Array) {
          if (this.#strings.has(argument)) continue;
          const bytes = typeof argument === "string" ? cString(argument) : argument;
          const data = new ScratchData(bytes, false, "");
          this.#strings.set(argument, data);
          note(data);
        } else if (argument instanceof ScratchData) note(argument);
        else if (argument instanceof ScratchPart) note(argument.data);
        else if (argument instanceof CallResult) entries++;
        else if (argument instanceof ScratchInteger) {
          note(argument.data);
          entries++;
        }
      }
      this.#positions.push(entries++);
    }

    let size = 0;
    const place = (data: ScratchData): void => {
      this.#offsets.set(data, size);
      size += align(data.bytes.byteLength);
    };
    inputs.forEach(place);
    this.#infoAt = size;
    this.entriesAt = this.#infoAt + Siginfo.SIZE;
    this.sequelAt = sequel === undefined ? undefined : this.entriesAt + sequel * ENTRY_SIZE;
    this.tailAt = this.entriesAt + (entries + 1) * ENTRY_SIZE;
    size = this.tailAt + align(TAIL_SIZE);
    outputs.forEach(place);
    this.size = size;
    this.#positions.forEach((entry, index) =>
      this.#positions[index] = this.entriesAt + entry * ENTRY_SIZE
    );
  }

  /**
   * Writes the program's bytes.
   *
   * @param bytes where to, `size` zero bytes
   * @param base the address at which they will lie in the target
   */
  emit(bytes: Uint8Array, base: bigint, thread: ProgramThread): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // What many threads run is put together once.
    if (this.#isEmitted) {
      const { pattern, addresses } = this.#pattern ??= this.#makePattern();
      bytes.set(pattern);
      for (const at of addresses) {
        view.setBigUint64(at, base + view.getBigUint64(at, true), true);
      }
    } else this.#emitCalls(view, (at, offset) => view.setBigUint64(at, base + offset, true));
    this.#isEmitted = true;
    bytes.set(Siginfo.make(thread.signal, 0, PROGRAM_END_MARK).bytes, this.#infoAt);
    [thread.tgid, thread.tid, thread.signal].forEach((word, index) =>
      view.setUint32(this.tailAt + index * 8, word, true)
    );
  }

  /** The bytes as they would lie at address 0, and where in them addresses stand. */
  #makePattern(): Pattern {
    const pattern = new Uint8Array(this.size);
    const view = new DataView(pattern.buffer);
    const addresses: number[] = [];
    this.#emitCalls(view, (at, offset) => {
      view.setBigUint64(at, offset, true);
      addresses.push(at);
    });
    return { pattern, addresses };
  }

  /** Writes all but what is the thread's. @param point puts an address there: so many bytes from the beginning */
  #emitCalls(view: DataView, point: (at: number, offset: bigint) => void): void {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const pointAt = (at: number, offset: number) => point(at, BigInt(offset));
    const offsetOf = (data: ScratchData): number =>
      data === ScratchData.SPARE_PAGE ? -Number(PAGE_SIZE) : this.#offsets.get(data) as number;
    for (const [data, at] of this.#offsets) {
      bytes.set(data.bytes, at);
      for (const { at: slot, to, plus } of data.pointers) pointAt(at + slot, offsetOf(to) + plus);
    }
    let entry = this.entriesAt;
    const fetch = (slot: number, source: number, size: number): void => {
      view.setBigUint64(entry, OPERATION_COPY, true);
      pointAt(entry + ENTRY_ARGUMENTS, slot);
      pointAt(entry + ENTRY_ARGUMENTS + 8, source);
      view.setBigUint64(entry + ENTRY_ARGUMENTS + 16, BigInt(size), true);
      entry += ENTRY_SIZE;
    };
    this.#program.readonlyCalls.forEach((call, index) => {
      const callAt = this.#positions[index] as number;
      if (index === this.#program.sequelAt) {
        view.setBigUint64(entry, OPERATION_END, true);
        entry += ENTRY_SIZE;
      }
      if (call.where !== undefined) {
        const { result, least } = call.where;
        view.setBigUint64(entry, OPERATION_BELOW, true);
        pointAt(
          entry + ENTRY_ARGUMENTS,
          (this.#positions[result.index] as number) + ENTRY_RESULT,
        );
        view.setBigUint64(entry + ENTRY_ARGUMENTS + 8, BigInt.asUintN(64, least), true);
        pointAt(entry + ENTRY_ARGUMENTS + 16, callAt + ENTRY_SIZE);
        entry += ENTRY_SIZE;
      }
      const operation = BigInt(SYSCALLS[call.name]);
      view.setBigUint64(callAt, call.required ? operation | OPERATION_REQUIRED : operation, true);
      call.args.forEach((argument, position) => {
        const slot = callAt + ENTRY_ARGUMENTS + position * 8;
        if (typeof argument === "bigint") {
          view.setBigUint64(slot, BigInt.asUintN(64, argument), true);
        } else if (typeof argument === "number") {
          view.setBigUint64(slot, BigInt.asUintN(64, BigInt(argument)), true);
        } else if (argument instanceof ScratchData) pointAt(slot, offsetOf(argument));
        else if (argument instanceof ScratchPart) {
          pointAt(slot, offsetOf(argument.data) + argument.offset);
        } else if (argument instanceof CallResult) {
          fetch(slot, (this.#positions[argument.index] as number) + ENTRY_RESULT, 8);
        } else if (argument instanceof ScratchInteger) {
          fetch(slot, offsetOf(argument.data) + argument.offset, argument.size);
        } else pointAt(slot, offsetOf(this.#strings.get(argument) as ScratchData));
      });
      view.setBigInt64(callAt + ENTRY_RESULT, NOT_MADE, true);
      entry = callAt + ENTRY_SIZE;
    });
    view.setBigUint64(entry, OPERATION_END, true);
    pointAt(this.tailAt + TAIL_INFO, this.#infoAt);
    if (this.sequelAt !== undefined) pointAt(this.tailAt + TAIL_SEQUEL, this.sequelAt);
  }

  /** Whether the bytes read back say that the program came to its end. */
  hasEnded(readBack: Uint8Array): boolean {
    return this.#stopped(readBack) !== 0n;
  }

  /**
   * Reads the results out of the bytes that were read back from `entriesAt` on.
   *
   * @param base the address at which the image lay
   */
  reply(readBack: Uint8Array, base: bigint): ProgramReply {
    const view = new DataView(readBack.buffer, readBack.byteOffset, readBack.byteLength);
    const stopped = Number(this.#stopped(readBack) - base);
    const resultOf = (index: number): bigint | undefined => {
      const position = this.#positions[index];
      if (position === undefined || position > stopped) return undefined;
      return view.getBigInt64(position - this.entriesAt + ENTRY_RESULT, true);
    };
    const failed = this.#program.readonlyCalls.findIndex(({ required, expect }, index) => {
      const result = required ? resultOf(index) : undefined;
      if (result === undefined) return false;
      return isErrno(result) || (expect !== undefined && result !== expect);
    });
    const outputOf = (data: ScratchData): Uint8Array | undefined => {
      const at = data.output ? this.#offsets.get(data) : undefined;
      if (at === undefined) return undefined;
      const start = at - this.entriesAt;
      return readBack.subarray(start, start + data.bytes.byteLength);
    };
    return new ProgramReply(this.#program, resultOf, outputOf, failed < 0 ? undefined : failed);
  }

  #stopped(readBack: Uint8Array): bigint {
    const at = this.tailAt - this.entriesAt + TAIL_STOPPED;
    return new DataView(readBack.buffer, readBack.byteOffset).getBigUint64(at, true);
  }
}
