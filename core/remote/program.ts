/**
 * Syscall programs: lists of system calls that a stopped thread runs in one go. A program is plain data
 * that is built, printed and edited here without any task; `RemoteTask.run()` copies it into a target's
 * scratch memory, runs it there and reads the results back (see `x86_64/program_code.ts` for the machine
 * code that walks the table).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
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
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { isErrno } from "../linux/errno.ts";
import { PAGE_SIZE } from "../linux/address.ts";
import { cString } from "../linux/libc_ffi.ts";
import { Siginfo } from "../linux/siginfo.ts";
import { argumentCount, formatArgument, formatResult, formatString } from "../linux/strace.ts";

/** The result of an earlier call of the same program, to be used as an argument. */
export class CallResult {
  /** @param index the position of the call among the program's calls */
  constructor(readonly index: number) {}
}

/** A piece of scratch memory of a program: input (copied in), or output (read back). */
export class ScratchData {
  /**
   * The page in front of the programs, which goes with the scratch memory: what a program maps over it (MAP_FIXED) is
   * unmapped with that, even if the program is stopped in its middle since the tool has died.
   */
  static readonly SPARE_PAGE: ScratchData = new ScratchData(new Uint8Array(), false, "spare page");

  /** Where pointers into this program's scratch memory stand in the bytes. */
  readonly pointers: { readonly at: number; readonly to: ScratchData; readonly plus: number }[] =
    [];

  constructor(
    /** Its initial contents. */
    readonly bytes: Uint8Array,
    /** Whether it is read back after the run. */
    readonly output: boolean,
    /** What it holds, for printing. */
    readonly note: string,
  ) {}

  /** Puts the address of `to` (plus `plus` bytes) at byte `at` of this piece. */
  point(at: number, to: ScratchData, plus = 0): this {
    this.pointers.push({ at, to, plus });
    return this;
  }

  /** The address of byte `offset`: for many small pieces that are one. */
  part(offset: number): ScratchPart {
    return new ScratchPart(this, offset);
  }

  /** The 4-byte integer that a call leaves at byte `offset`, to be used as an argument of a later call. */
  int(offset: number): ScratchInteger {
    return new ScratchInteger(this, offset, 4);
  }

  /** The 8-byte integer that a call leaves at byte `offset`, to be used as an argument of a later call. */
  long(offset: number): ScratchInteger {
    return new ScratchInteger(this, offset, 8);
  }
}

/** The address of a part of scratch memory. */
export class ScratchPart {
  constructor(
    readonly data: ScratchData,
    readonly offset: number,
  ) {}
}

/** An integer that a call leaves in scratch memory. */
export class ScratchInteger {
  constructor(
    readonly data: ScratchData,
    readonly offset: number,
    readonly size: 4 | 8,
  ) {}
}

/** What a call of a program takes: numbers, C strings, bytes, scratch memory, results of earlier calls. */
export type Argument =
  | bigint
  | number
  | string
  | Uint8Array
  | ScratchData
  | ScratchPart
  | CallResult
  | ScratchInteger;

/** One call of a program. */
export interface Call {
  /** Its name. */
  readonly name: SyscallName;
  /** Its arguments; missing ones are 0. A script may replace them before the program runs. */
  args: readonly Argument[];
  /** Whether the program stops where it fails. */
  readonly required: boolean;
  /** The result that it must have, where any other non-negative one is a failure too (a short read). */
  readonly expect?: bigint;
  /** It is made only where that earlier call has returned `least` or more; never where that has not been made. */
  readonly where?: { readonly result: CallResult; readonly least: bigint };
  /**
   * Says why it failed, where the call and its errno do not tell enough; undefined if they do. The errno is empty where
   * the call has another result than it must have.
   */
  readonly explain?: (errno: string) => StasisError | undefined;
}

const align = (size: number): number => (size + 15) & ~15;

/** A list of system calls for one stopped thread. */
export class SyscallProgram {
  /** What the program is for, as it appears in errors: "the descriptors of task 12". */
  readonly purpose: string;
  #calls: Call[] = [];
  /** Whether other programs have some of the calls as well. */
  #isShared = false;
  #sequelAt: number | undefined;

  constructor(purpose: string) {
    this.purpose = purpose;
  }

  /** The calls, in order: they may be edited. Those of other programs are copied before. */
  get calls(): Call[] {
    if (this.#isShared) this.#calls = this.#calls.map((call) => ({ ...call }));
    this.#isShared = false;
    return this.#calls;
  }

  /** The calls, for those that edit none. */
  get readonlyCalls(): readonly Readonly<Call>[] {
    return this.#calls;
  }

  /**
   * Adds calls that other programs have as well: of ten thousand threads nearly all make the same ones.
   *
   * @throws {StasisError} `internal` where they take results, which are counted from the begin of a program, and stand
   * elsewhere in this one
   */
  share(calls: readonly Readonly<Call>[]): void {
    if (this.#calls.length > 0 && calls.some(takesResults)) {
      throw new StasisError("internal", `${this.purpose} cannot share calls that take results`);
    }
    this.#calls.push(...calls as Call[]);
    this.#isShared = true;
  }

  /** Adds a call that may fail: its result tells. */
  try(name: SyscallName, ...args: Argument[]): CallResult {
    return this.#add({ name, args, required: false });
  }

  /** Adds a call that may fail, and that is made only where an earlier one has returned `least` or more. */
  tryWhere(result: CallResult, least: bigint, name: SyscallName, ...args: Argument[]): CallResult {
    return this.#add({ name, args, required: false, where: { result, least } });
  }

  /** Adds a call that must succeed: the program stops where it does not, and running it throws. */
  call(name: SyscallName, ...args: Argument[]): CallResult {
    return this.#add({ name, args, required: true });
  }

  /** Adds a call that must succeed with exactly this result, for example a number of bytes. */
  expect(result: bigint, name: SyscallName, ...args: Argument[]): CallResult {
    return this.#add({ name, args, required: true, expect: result });
  }

  /** Adds a call that must succeed, and says itself why it did not. */
  explained(explain: Call["explain"], name: SyscallName, ...args: Argument[]): CallResult {
    return this.#add({ name, args, required: true, explain });
  }

  /** The same of a call that must have exactly this result. */
  expectExplained(
    result: bigint,
    explain: Call["explain"],
    name: SyscallName,
    ...args: Argument[]
  ): CallResult {
    return this.#add({ name, args, required: true, expect: result, explain });
  }

  /**
   * What is added from here on is the sequel: it is run behind the end of the program, whether that was its last call
   * or one that has failed, when the tracer has died or lets the thread go on (`RemoteTask.leaveToSequel()`).
   */
  beginSequel(): void {
    this.#sequelAt = this.#calls.length;
  }

  /** The index of the first call of the sequel; undefined if there is none. */
  get sequelAt(): number | undefined {
    return this.#sequelAt;
  }

  /** Scratch memory with these contents, for calls to read. */
  data(bytes: Uint8Array, note = ""): ScratchData {
    return new ScratchData(bytes, false, note);
  }

  /** Scratch memory of `size` zero bytes (or these bytes) for calls to write, read back after the run. */
  output(size: number | Uint8Array, note = ""): ScratchData {
    return new ScratchData(typeof size === "number" ? new Uint8Array(size) : size, true, note);
  }

  /** Whether there is nothing to run. */
  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  #add(call: Call): CallResult {
    this.#calls.push(call);
    return new CallResult(this.#calls.length - 1);
  }
}

function takesResults({ args, where }: Readonly<Call>): boolean {
  return where !== undefined || args.some((argument) => argument instanceof CallResult);
}

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

/** Marks the signal that ends a program, so that it is not mistaken for one that somebody sent. */
export const PROGRAM_END_MARK = 0x5354_4153_4953_0001n;

/** What the calls of a program returned and wrote. */
export class ProgramReply {
  /** The program that ran. */
  readonly program: SyscallProgram;
  /** The index of the required call that failed, if one did. */
  readonly failed: number | undefined;
  readonly #resultOf: (index: number) => bigint | undefined;
  readonly #outputOf: (data: ScratchData) => Uint8Array | undefined;

  /**
   * @param resultOf tells what a call returned; undefined for one that did not run
   * @param outputOf tells what stands in output memory; undefined for what is none
   */
  constructor(
    program: SyscallProgram,
    resultOf: (index: number) => bigint | undefined,
    outputOf: (data: ScratchData) => Uint8Array | undefined,
    failed: number | undefined,
  ) {
    this.program = program;
    this.#resultOf = resultOf;
    this.#outputOf = outputOf;
    this.failed = failed;
  }

  /** What a call returned: 0 or more, or the negative errno. @throws {RangeError} if it did not run */
  result(call: CallResult): bigint {
    const result = this.#resultOf(call.index);
    if (result === undefined) throw new RangeError(`call ${call.index} of the program did not run`);
    return result;
  }

  /** What the calls left in a piece of output memory. */
  output(data: ScratchData): Uint8Array {
    const bytes = this.#outputOf(data);
    if (bytes === undefined) throw new RangeError("that memory is no output of this program");
    return bytes;
  }

  /** One call with its result, as strace would print it. */
  describe(index: number): string {
    const call = this.program.readonlyCalls[index] as Call;
    const result = this.#resultOf(index);
    return `${formatCall(call, this.#resultOf)} = ${
      result === undefined ? "?" : formatResult(result)
    }`;
  }
}

/**
 * One call as strace would print it.
 *
 * @param resultOf tells the results of earlier calls, where they are known; otherwise they print as `$N`
 */
export function formatCall(
  call: Call,
  resultOf: (index: number) => bigint | undefined = () => undefined,
): string {
  const count = argumentCount(call.name) ?? call.args.length;
  const args = Array.from({ length: count }, (_, index) => {
    const argument = call.args[index] ?? 0;
    if (typeof argument === "string") return formatString(argument);
    if (typeof argument === "bigint" || typeof argument === "number") {
      return formatArgument(call.name, index, BigInt(argument));
    }
    if (argument instanceof CallResult) {
      const known = resultOf(argument.index);
      return known === undefined ? `$${argument.index}` : formatArgument(call.name, index, known);
    }
    if (argument instanceof ScratchInteger) {
      return `${describeData(argument.data)}[${argument.offset}]`;
    }
    if (argument instanceof ScratchPart) {
      return `${describeData(argument.data)}+${argument.offset}`;
    }
    return argument instanceof ScratchData
      ? describeData(argument)
      : `{${argument.byteLength} bytes}`;
  });
  return `${call.name}(${args.join(", ")})`;
}

function describeData(data: ScratchData): string {
  const note = data.note === "" ? `${data.bytes.byteLength} bytes` : data.note;
  return data.output ? `[${note}]` : `{${note}}`;
}
