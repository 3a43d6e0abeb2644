/**
 * What takes a change to a stopped thread back, as data. The tool carries it out itself when it lets a thread go,
 * and hands the same to the guardian (`core/guardian/guardian.ts`), which does so if the tool dies: there is one
 * description of what was changed, and whoever undoes it makes the same system calls.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../linux/errno.ts";
import { addressOf, syscall } from "../linux/libc_ffi.ts";
import { PTRACE } from "../linux/ptrace.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import type { Registers } from "../linux/x86_64/registers.ts";
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";

/** A system call of the tool or of the guardian. Bytes stand for their address. */
export interface RawCall {
  readonly name: SyscallName;
  readonly args: readonly (bigint | Uint8Array | Vector)[];
}

/** A `struct iovec`, by its address: where the bytes lie is a number in another process, or bytes here. */
export class Vector {
  constructor(
    readonly base: bigint | Uint8Array,
    readonly length: bigint,
  ) {}
}

/** The size of a `struct iovec` (uio(2)): the base at 0, the length at 8. */
export const VECTOR_SIZE = 16;

/** The call by which a ptrace request is made of a thread; `data` is memory of the tracer. */
export function ptraceCall(
  request: bigint,
  tid: number,
  address = 0n,
  data: bigint | Uint8Array = 0n,
): RawCall {
  return { name: "ptrace", args: [request, BigInt(tid), address, data] };
}

/** The call that writes to memory of another process, which must be writable for that one. */
export function writeCall(pid: number, address: bigint, bytes: Uint8Array): RawCall {
  const length = BigInt(bytes.byteLength);
  return {
    name: "process_vm_writev",
    args: [BigInt(pid), new Vector(bytes, length), 1n, new Vector(address, length), 1n, 0n],
  };
}

/** Makes a call here. @returns its result, or the negative errno */
export function makeCall({ name, args }: RawCall): bigint {
  // What a vector points to must live until the call is made.
  const kept: Uint8Array[] = [];
  const words = args.map((arg) => {
    if (!(arg instanceof Vector)) return arg;
    const { base, length } = arg;
    const bytes = new Uint8Array(VECTOR_SIZE);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, typeof base === "bigint" ? base : addressOf(base), true);
    view.setBigUint64(8, length, true);
    kept.push(bytes);
    return bytes;
  });
  return syscall(SYSCALLS[name], ...words);
}

/** Makes a call here that must succeed. @throws {StasisError} `no-such-task` where the thread has ended */
export function mustCall(call: RawCall, tid: number): void {
  let result = makeCall(call);
  // What passes must not be the target's end.
  if (isErrno(result) && result !== -BigInt(Errno.ESRCH)) result = makeCall(call);
  if (!isErrno(result)) return;
  const errno = errnoName(-result);
  const gone = result === -BigInt(Errno.ESRCH);
  throw new StasisError(
    gone ? "no-such-task" : "syscall",
    `thread ${tid} cannot be put back as it was: ${describe(call)}: ${errno}`,
    { pid: tid, errno },
  );
}

function describe({ name, args }: RawCall): string {
  if (name !== "ptrace") return name;
  const request = Object.entries(PTRACE).find(([, value]) => value === args[0])?.[0];
  return `ptrace(${request === undefined ? args[0] : `PTRACE_${request}`})`;
}

/** A thread that waits for its tracer, and what puts it back. */
export interface ThreadUndo {
  readonly pid: number;
  readonly tid: number;
  /** The bits of PTRACE_O that calls in it need. */
  readonly options: bigint;
  /** The calls, in their order. */
  readonly calls: readonly RawCall[];
  /** For where it is found with its own registers, and with a mask that it has between two of the calls. */
  readonly halfway?: HalfwayUndo;
}

/** What is left to be done with a thread that runs its own code already, or still, with most signals blocked. */
export interface HalfwayUndo {
  /** The mask by which it is told, as the kernel tells it. */
  readonly mask: bigint;
  /** The call that gives it its own. */
  readonly call: RawCall;
}

/** A call for a thread that waits, to be made while another process than this tool traces it. */
export interface SubstitutedCall {
  readonly pid: number;
  readonly tid: number;
  /** The ptrace options that it needs. */
  readonly options: bigint;
  /** The registers with which the thread waits, and those with which it makes the call. */
  readonly waiting: Registers;
  readonly registers: Registers;
}

/** What came of it. The thread waits again, untraced. */
export interface SubstitutedEnd {
  /** Whether the call was made; if not, something else came before it. */
  readonly isMade: boolean;
  /** The registers where it was stopped, before it was sent back to wait. */
  readonly registers: Registers;
  /** The signals that it was about to take, and has not. */
  readonly signals: readonly Siginfo[];
}

/** Traces threads in this tool's place, one call at a time, and comes to the end of that whatever becomes of the tool. */
export interface Substitute {
  /** Whether it lives, as far as is known. */
  readonly isThere: boolean;
  /** @throws {StasisError} `syscall`: the thread waits, if it has not been killed */
  run(call: SubstitutedCall): SubstitutedEnd;
}

/** A call in a waiting thread that takes a change to its process back. */
export interface CallUndo {
  readonly pid: number;
  readonly tid: number;
  /** What it is made with; what follows it in the code is not run. */
  readonly registers: Registers;
}

/**
 * A child that a waiting thread makes and nobody else is to know of: it is killed, and its parent reaps it. Its id stands
 * in memory of the parent, where the kernel puts it (CLONE_PARENT_SETTID): nobody may have been told of it yet.
 */
export interface ChildUndo {
  readonly pid: number;
  readonly tid: number;
  /** Where its id stands, 4 bytes; {@link NO_CHILD} before there is one. */
  readonly word: bigint;
  /** The registers of wait4(2), whose first argument that id will be. */
  readonly registers: Registers;
}

/** No process has this id. */
export const NO_CHILD = 0x7fffffff;

/** Memory of a process that is to be as it was. */
export interface MemoryUndo {
  readonly pid: number;
  /** A waiting thread of it. */
  readonly tid: number;
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

/** The result of an earlier call of a list. */
export class Result {
  /** @param index its place in the list */
  constructor(readonly index: number) {}
}

/** A call of a list. */
export interface ListedCall {
  readonly name: SyscallName;
  readonly args: readonly (bigint | Uint8Array | Result)[];
}

/** Calls that take back what was changed outside of threads and memory; whoever undoes it makes them himself. */
export interface OutsideUndo {
  /** No thread of this process runs on before they are made. */
  readonly pid: number;
  readonly calls: readonly ListedCall[];
}

/** Something that was noted. */
export interface Noted {
  /** Forgets it: it has been undone. It never fails, since nobody is harmed where nobody knows of it any more. */
  erase(): void;
}

/** A thread that was noted. */
export interface NotedThread extends Noted {
  /** Notes something else of it. */
  change(undo: ThreadUndo): void;
}

/**
 * Keeps notes of what is to be undone, for the case that the tool dies. First the note, then the change: what cannot be
 * noted (a StasisError) must not be changed, unless it is for taking back what was.
 */
export interface Rescuer {
  /** What the register r15 of every thread that waits for its tracer holds. */
  readonly mark: bigint;
  /** The processes that undo what was noted, and end then; none where nobody reads the notes. */
  readonly pids: readonly number[];
  /** Notes threads, which are put back if they have the mark then, and let go of in any case. */
  noteThreads(undos: readonly ThreadUndo[]): NotedThread[];
  /** Notes a call, made before any thread of the process is let go of. */
  noteCall(undo: CallUndo): Noted;
  /** Notes a child, ended before any thread of the process is let go of. */
  noteChild(undo: ChildUndo): Noted;
  /** Notes memory. */
  noteMemory(undo: MemoryUndo): Noted;
  /** Notes calls that the guardian makes itself. One that fails does not keep it from those behind it. */
  noteOutside(undo: OutsideUndo): Noted;
  /** Notes such calls for the case that the tree is ended: they are made before it is killed. */
  noteEnd(calls: readonly ListedCall[]): Noted;
  /** Notes a signal that was taken from a thread, to be sent again. */
  noteSignal(pid: number, tid: number, info: Siginfo): Noted;
  /**
   * A descriptor here of a page that tells in its first word whether this process lives, as programs in targets look
   * at it ({@link TRACER_DEAD}).
   */
  readonly aliveWord: number;
  /** Makes the calls of a thread that needs its tracer ({@link Tracee.needsTracer}) before it has that page. */
  readonly substitute?: Substitute;
}
