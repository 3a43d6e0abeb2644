/**
 * Syscall programs: lists of system calls that a stopped thread runs in one go. A program is plain data
 * that is built, printed and edited here without any task; `RemoteTask.run()` copies it into a target's
 * scratch memory (`program_image.ts`), runs it there and reads the results back (`program_reply.ts`; see
 * `x86_64/program_code.ts` for the machine code that walks the table).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { SyscallName } from "../linux/x86_64/syscalls.ts";

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

  #pointers: Pointer[] | undefined;

  constructor(
    /** Its initial contents. */
    readonly bytes: Uint8Array,
    /** Whether it is read back after the run. */
    readonly output: boolean,
    /** What it holds, for printing. */
    readonly note: string,
  ) {}

  /** Where pointers into this program's scratch memory stand in the bytes. */
  get pointers(): readonly Pointer[] {
    return this.#pointers ?? [];
  }

  /** Puts the address of `to` (plus `plus` bytes) at byte `at` of this piece. */
  point(at: number, to: ScratchData, plus = 0): this {
    // Nearly all have none or one, and there are tens of thousands: a list that grows is made with room for more.
    if (this.#pointers === undefined) this.#pointers = [{ at, to, plus }];
    else this.#pointers.push({ at, to, plus });
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

/** An address of scratch memory in scratch memory. */
export interface Pointer {
  /** Where it stands, in bytes. */
  readonly at: number;
  readonly to: ScratchData;
  /** How many bytes behind the beginning of `to` it points to. */
  readonly plus: number;
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

/** Calls that many programs have alike: `CallPool`. */
export interface SharedCalls {
  /** One that is the same, kept for all; undefined of a call that its program has for itself. */
  find(call: Readonly<Call>): Readonly<Call> | undefined;
  /** A list of the very same calls, kept for all and frozen; undefined where one of them is a program's own. */
  findList(calls: readonly Readonly<Call>[]): readonly Readonly<Call>[] | undefined;
}

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

/** A list of system calls for one stopped thread. */
export class SyscallProgram {
  /** What the program is for, as it appears in errors: "the descriptors of task 12". */
  readonly purpose: string;
  #calls: Call[] = [];
  /** Whether other programs have some of the calls as well. */
  #isShared = false;
  /** Whether the list of the calls is another program's, and frozen. */
  #isBorrowed = false;
  #sequelAt: number | undefined;

  /** Has calls that other programs have as well. */
  readonly #pool: SharedCalls | undefined;

  /** @param pool where given, it has the calls that other programs have as well: each is kept once */
  constructor(purpose: string, pool?: SharedCalls) {
    this.purpose = purpose;
    this.#pool = pool;
  }

  /** The calls, in order: they may be edited. Those of other programs are copied before. */
  get calls(): Call[] {
    if (this.#isShared) this.#calls = this.#calls.map((call) => ({ ...call }));
    this.#isShared = this.#isBorrowed = false;
    return this.#calls;
  }

  /** The calls, for those that edit none. */
  get readonlyCalls(): readonly Readonly<Call>[] {
    return this.#calls;
  }

  /**
   * Adds calls that other programs have as well: of ten thousand threads nearly all make the same ones. A program that
   * has none yet has the very same list, which nobody can add to from then on.
   *
   * @throws {StasisError} `internal` where they take results, which are counted from the begin of a program, and stand
   * elsewhere in this one
   */
  share(calls: readonly Readonly<Call>[]): void {
    if (this.#calls.length > 0 && calls.some(takesResults)) {
      throw new StasisError("internal", `${this.purpose} cannot share calls that take results`);
    }
    this.#isShared = true;
    if (this.#calls.length === 0) this.#calls = Object.freeze(calls) as Call[];
    else if (this.#isBorrowed) this.#calls = [...this.#calls, ...calls];
    else this.#calls.push(...calls as Call[]);
    this.#isBorrowed = this.#calls === calls;
  }

  /**
   * Takes no more memory than its calls need, as nearly all have been added: those that other programs have in the same
   * order are in one list. Whatever is added or edited later is this program's own.
   */
  settle(): void {
    if (this.#pool === undefined || this.#isBorrowed || this.#calls.length === 0) return;
    const list = this.#pool.findList(this.#calls);
    this.#isBorrowed = list !== undefined;
    // A list that has grown has room for half as many more.
    this.#calls = list as Call[] | undefined ?? this.#calls.slice();
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
    if (this.#isBorrowed) this.#calls = [...this.#calls];
    this.#isBorrowed = false;
    const pooled = this.#pool?.find(call);
    if (pooled !== undefined) this.#isShared = true;
    this.#calls.push(pooled ?? call);
    return new CallResult(this.#calls.length - 1);
  }
}

function takesResults({ args, where }: Readonly<Call>): boolean {
  return where !== undefined || args.some((argument) => argument instanceof CallResult);
}
