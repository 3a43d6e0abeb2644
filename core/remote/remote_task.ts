/**
 * Running system calls inside a stopped task. One `RemoteTask` serves all threads of a thread group, since
 * they share memory. It borrows scratch memory in the target for its programs and gives it back.
 *
 * Single calls go through a `syscall` instruction that the target already has (the vDSO's), so nothing of
 * the target's own code is overwritten; programs run in the scratch memory.
 *
 * In a target that is to survive the tool ({@link Shelter}) everything is noted before it is done: where the scratch
 * memory will lie, which descriptors will be lent. A single call ends at a waiting place there; for that some words
 * of memory that the target does not use at that moment are written to, and put back.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import {
  offsetAddress,
  PAGE_SIZE,
  pageAlign,
  type RemoteAddress,
  remoteAddress,
} from "../linux/address.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { ProcessMemory } from "../linux/memory.ts";
import { mappingKind, readLimits, readMaps, readStatus } from "../linux/procfs/mod.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { ALL_SIGNALS } from "../linux/signals.ts";
import { formatArgument } from "../linux/strace.ts";
import { PROGRAM_CODE, TAIL_ALIVE } from "../linux/x86_64/program_code.ts";
import type { SyscallName } from "../linux/x86_64/syscalls.ts";
import { LANDING_WORDS } from "../linux/x86_64/waiting_code.ts";
import { ProgramImage, type ProgramReply, type SyscallProgram } from "./program.ts";
import { largestHole, noRoom } from "./scratch_limits.ts";
import type { CallSite, ProgramPlace, Tracee } from "./tracee.ts";
import type { Noted, Rescuer } from "./undo.ts";

/** A program and the thread that runs it. */
export interface Run {
  /** The thread. */
  readonly thread: Tracee;
  /** The program. */
  readonly program: SyscallProgram;
}

/** How a task's ids look from inside its own pid namespace. */
export interface InnerIds {
  /** The thread group id as the task itself sees it. */
  readonly pid: number;
  /** A thread's id as the thread itself sees it. */
  tid(tid: number): number;
}

/** What lets a task survive the tool's death while calls are made in it. Its threads are parked. */
export interface Shelter {
  readonly rescuer: Rescuer;
  /** The waiting place behind the call site, and memory for the words that lead there; absent where it has none. */
  readonly landing?: CallSite["landing"];
  /** Where a mapping of this size fits, if the task has room anywhere. */
  findRoom(size: bigint): RemoteAddress | undefined;
  /** Is called when the task has got scratch memory. */
  readonly prepare?: (remote: RemoteTask) => void;
}

/**
 * Scratch memory in a target. The code lies in its first page, then comes one in which programs may look whether
 * their tracer lives ({@link RemoteTask.watchTracer}), one over which they may map what they like
 * ({@link ScratchData.SPARE_PAGE}), and the programs behind it.
 */
interface Scratch {
  readonly address: RemoteAddress;
  readonly size: bigint;
}

const PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
const MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000;
/** What of scratch memory lies in front of the programs: the code, the page with the tracer's word, the spare one. */
export const SCRATCH_HEADER: bigint = 3n * PAGE_SIZE;
/** Scratch memory is taken in steps of this size, so that small programs share one. */
const SCRATCH_STEP = 65536n;

/** System calls in the threads of one stopped task. */
export class RemoteTask implements Disposable {
  /** The thread group. */
  readonly pid: number;
  /** The thread that makes calls for the whole task. */
  readonly leader: Tracee;
  /** The task's memory. */
  readonly memory: ProcessMemory;
  readonly #inner: InnerIds;
  readonly #sharedPending: readonly Siginfo[];
  readonly #shelter: Shelter | undefined;
  #instruction: RemoteAddress;
  #scratch: Scratch | undefined;
  #scratchNoted: Noted | undefined;
  #ownsScratch = true;
  /** Whether the words that lead a call to the waiting place stand in the target. */
  #landed = false;
  /** Where programs look whether their tracer lives; undefined if they need not. */
  #alive: RemoteAddress | undefined;
  /** The program that was started last, if it has a sequel. */
  #withSequel: ProgramPlace | undefined;
  /** The threads in which programs were started. */
  readonly #started = new Set<Tracee>();

  /**
   * @param leader a stopped thread of the task
   * @param sharedPending the signals that wait for the whole task
   * @param instruction a `syscall` instruction of the task
   * @param inner the task's ids in its own pid namespace
   * @param shelter absent for a task that dies with the tool
   */
  constructor(
    leader: Tracee,
    sharedPending: readonly Siginfo[],
    instruction: RemoteAddress,
    inner: InnerIds,
    shelter?: Shelter,
  ) {
    this.pid = leader.pid;
    this.leader = leader;
    this.#sharedPending = sharedPending;
    this.#instruction = instruction;
    this.#inner = inner;
    this.#shelter = shelter;
    this.memory = new ProcessMemory(this.pid);
  }

  /** Where the target's `syscall` instruction lies. */
  get instruction(): RemoteAddress {
    return this.#instruction;
  }

  /** Says where the `syscall` instruction lies from now on (the vDSO was moved). */
  set instruction(address: RemoteAddress) {
    this.#instruction = address;
  }

  /**
   * Uses memory that the target has already, code page included, and that is not to be given back: what a
   * restored task inherits from the seed.
   */
  adoptScratch(address: RemoteAddress, size: bigint): void {
    this.#scratch = { address, size };
    this.#ownsScratch = false;
  }

  /** Leaves the scratch memory to the target. @returns where it lies, its code first */
  keepScratch(): { readonly address: RemoteAddress; readonly size: bigint } {
    this.#ownsScratch = false;
    return this.#scratch ??= this.#takeScratch(SCRATCH_HEADER);
  }

  /**
   * One system call, without scratch memory.
   *
   * @returns the result, or the negative errno
   */
  tryCall(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.#landing((landing) => this.#callAt(landing, name, ...args));
  }

  /**
   * The same for a call that takes something back, which is made even if nobody can be told any more of the words that
   * stand in the target meanwhile: that it is not made would be worse for it.
   */
  tryUndoCall(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.#landing((landing) => this.#callAt(landing, name, ...args), true);
  }

  #callAt(landing: CallSite["landing"], name: SyscallName, ...args: (bigint | number)[]): bigint {
    const site = { instruction: this.#instruction, landing };
    return this.leader.call(site, this.#sharedPending, name, ...args);
  }

  /**
   * Has the words that lead a call to the waiting place stand in the target for as long as calls are made.
   *
   * @param isUndo whether the calls are made even where that cannot be noted
   */
  #landing<T>(calls: (landing: CallSite["landing"]) => T, isUndo = false): T {
    const shelter = this.#shelter;
    const landing = shelter?.landing;
    if (landing === undefined || this.#landed) return calls(landing);
    const address = offsetAddress(landing.stack, -LANDING_WORDS * 8);
    const bytes = this.memory.read(address, 2 * LANDING_WORDS * 8);
    const noted = this.#noteLanding(address, bytes, isUndo);
    const words = new BigUint64Array(2 * LANDING_WORDS).fill(landing.waiting);
    this.memory.write(address, new Uint8Array(words.buffer));
    this.#landed = true;
    try {
      return calls(landing);
    } finally {
      this.#landed = false;
      // It may stand behind its last call, from where the words lead on.
      this.leader.waitAgain();
      this.memory.write(address, bytes);
      noted?.erase();
    }
  }

  #noteLanding(address: RemoteAddress, bytes: Uint8Array, isUndo: boolean): Noted | undefined {
    const undo = { pid: this.pid, tid: this.leader.tid, address, bytes };
    try {
      return this.#shelter?.rescuer.noteMemory(undo);
    } catch (error) {
      if (!(isUndo && error instanceof StasisError)) throw error;
      return undefined;
    }
  }

  /**
   * Notes that the task may have this descriptor on loan: it is closed should the tool die. To be noted before the
   * descriptor is opened, so only of one that the task has not got itself.
   */
  noteDescriptor(fd: number): Noted | undefined {
    return this.#noteCall("close", fd);
  }

  #noteCall(name: SyscallName, ...args: (bigint | number)[]): Noted | undefined {
    const registers = this.leader.callRegisters(this.#instruction, name, ...args);
    return this.#shelter?.rescuer.noteCall({ pid: this.pid, tid: this.leader.tid, registers });
  }

  /** Where a page fits that tells programs whether their tracer lives. */
  get alivePage(): RemoteAddress {
    return offsetAddress((this.#scratch as Scratch).address, PAGE_SIZE);
  }

  /** From now on programs make no further call once their tracer is dead: {@link alivePage} is mapped. */
  watchTracer(): void {
    this.#alive = this.alivePage;
  }

  /** One system call that must succeed. @throws {StasisError} `syscall` */
  call(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.#mustSucceed(this.tryCall(name, ...args), name, args);
  }

  /** {@link tryUndoCall} of a call that must succeed. @throws {StasisError} `syscall` */
  undoCall(name: SyscallName, ...args: (bigint | number)[]): bigint {
    return this.#mustSucceed(this.tryUndoCall(name, ...args), name, args);
  }

  #mustSucceed(result: bigint, name: SyscallName, args: readonly (bigint | number)[]): bigint {
    if (!isErrno(result)) return result;
    const errno = errnoName(-result);
    const printed = args.map((value, index) => formatArgument(name, index, BigInt(value)));
    throw new StasisError(
      "syscall",
      `${name}(${printed.join(", ")}) in task ${this.pid} failed: ${errno}`,
      { pid: this.pid, errno },
    );
  }

  /**
   * Runs one program.
   *
   * @param thread the thread that runs it; the leader if absent
   * @throws {StasisError} `syscall` if a required call fails
   */
  run(program: SyscallProgram, thread: Tracee = this.leader): ProgramReply {
    return this.runAll([{ thread, program }])[0] as ProgramReply;
  }

  /** Runs one program in each of several threads, all at the same time. */
  runAll(runs: readonly Run[]): ProgramReply[] {
    const started = this.start(runs);
    return started.finish();
  }

  /**
   * Starts programs and returns at once; {@link StartedRuns.finish} waits. Between the two, other tasks'
   * programs may be started, so that the tasks work in parallel.
   *
   * @param options the ptrace options from then on, if others
   */
  start(runs: readonly Run[], options?: bigint): StartedRuns {
    const { base, images, places } = this.#place(runs);
    this.#withSequel = places.find(({ sequel }) => sequel !== undefined);
    images.forEach(({ run }, index) => {
      this.#started.add(run.thread);
      run.thread.start(places[index] as ProgramPlace, options);
    });
    return new StartedRuns(this.pid, this.memory, base, images);
  }

  /** Puts programs into the scratch memory. */
  #place(runs: readonly Run[]) {
    const images: { run: Run; image: ProgramImage; at: number }[] = [];
    let size = 0;
    for (const run of runs) {
      const image = new ProgramImage(run.program);
      images.push({ run, image, at: size });
      size += image.size;
    }
    const base = this.#room(size);
    const code = (this.#scratch as Scratch).address;
    const bytes = new Uint8Array(size);
    for (const { run, image, at } of images) {
      image.emit(bytes.subarray(at, at + image.size), base + BigInt(at), {
        tgid: this.#inner.pid,
        tid: this.#inner.tid(run.thread.tid),
        signal: run.thread.endSignal(this.#sharedPending),
      });
    }
    this.memory.write(base, bytes);
    const places = images.map(({ image, at }): ProgramPlace => {
      const start = base + BigInt(at);
      const tail = start + BigInt(image.tailAt);
      return {
        code,
        entries: start + BigInt(image.entriesAt),
        tail,
        sequel: image.sequelAt === undefined ? undefined : start + BigInt(image.sequelAt),
        alive: this.#alive ?? tail + BigInt(TAIL_ALIVE),
      };
    });
    return { base, images, places };
  }

  /**
   * Has the task run a program that ends it, with all signals blocked and nobody to trace it; that it dies with this
   * process must have been undone. No call can be made in it any more.
   */
  leave(program: SyscallProgram): void {
    const { places: [place] } = this.#place([{ thread: this.leader, program }]);
    this.#leaveAt(place as ProgramPlace);
  }

  /** As {@link leave}, with the sequel of the program that was run last. */
  leaveToSequel(): void {
    const place = this.#withSequel as ProgramPlace;
    this.#leaveAt({ ...place, entries: place.sequel as bigint });
  }

  #leaveAt({ code, entries, tail, alive }: ProgramPlace): void {
    this.leader.registers.set("ip", code).set("orig_ax", -1n).set("bx", entries)
      .set("r12", tail).set("r13", alive);
    this.leader.signalMask = ALL_SIGNALS;
    this.leader.release();
    this.memory[Symbol.dispose]();
  }

  /** Starts a program that ends the task, so that no results come. */
  startAndForget(program: SyscallProgram): void {
    this.start([{ thread: this.leader, program }]);
  }

  /** Makes sure of scratch memory for programs of `size` bytes, and says where they go. */
  #room(size: number): RemoteAddress {
    const needed = SCRATCH_HEADER + pageAlign(BigInt(size));
    if (this.#scratch !== undefined && this.#scratch.size < needed) {
      if (!this.#ownsScratch) {
        throw new StasisError(
          "internal",
          `a program of ${size} bytes outgrows the scratch memory`,
          {
            pid: this.pid,
          },
        );
      }
      this.giveBackScratch();
    }
    if (this.#scratch === undefined) {
      this.#takeScratch(needed);
      this.#shelter?.prepare?.(this);
    }
    return offsetAddress((this.#scratch as unknown as Scratch).address, SCRATCH_HEADER);
  }

  #takeScratch(needed: bigint): Scratch {
    const size = ((needed + SCRATCH_STEP - 1n) / SCRATCH_STEP) * SCRATCH_STEP;
    return this.#landing(() => {
      const address = this.#mapScratch(size);
      const scratch = this.#scratch = { address, size };
      const rest = size - PAGE_SIZE;
      const split = this.tryCall("mprotect", address + PAGE_SIZE, rest, PROT_READ | PROT_WRITE);
      if (isErrno(split)) {
        this.#scratch = undefined;
        this.call("munmap", address, size);
        this.#scratchNoted?.erase();
        throw this.#noRoom(size, split);
      }
      this.memory.write(address, PROGRAM_CODE);
      return scratch;
    });
  }

  /** Maps memory at a place that was noted before, or, where none is free, at one of the kernel's choice. */
  #mapScratch(size: bigint): RemoteAddress {
    // Never writable and executable at once: PR_SET_MDWE and SELinux's execmem forbid that.
    const map = (at: bigint, flags: number) =>
      this.tryCall(
        "mmap",
        at,
        size,
        PROT_READ | PROT_EXEC,
        MAP_PRIVATE | MAP_ANONYMOUS | flags,
        -1,
        0,
      );
    const room = this.#shelter?.findRoom(size);
    if (room !== undefined) {
      this.#scratchNoted = this.#noteCall("munmap", room, size);
      if (!isErrno(map(room, MAP_FIXED_NOREPLACE))) return room;
      this.#scratchNoted?.erase();
    }
    const mapped = map(0n, 0);
    if (isErrno(mapped)) throw this.#noRoom(size, mapped);
    try {
      this.#scratchNoted = this.#noteCall("munmap", mapped, size);
    } catch (error) {
      this.tryCall("munmap", mapped, size);
      throw error;
    }
    return remoteAddress(mapped);
  }

  #noRoom(wanted: bigint, result: bigint): StasisError {
    const { memory } = readStatus(this.pid);
    // The page of vsyscalls is in the list and is no mapping of the task's own.
    const mappings = readMaps(this.pid).filter((one) => mappingKind(one) !== "vsyscall");
    return noRoom(this.pid, wanted, errnoName(-result), {
      size: BigInt(memory?.size ?? 0),
      data: BigInt(memory?.data ?? 0),
      mappings: mappings.length,
      maxMappings: Number(Deno.readTextFileSync("/proc/sys/vm/max_map_count")),
      limits: readLimits(this.pid),
      hole: largestHole(mappings),
    });
  }

  /** Unmaps the scratch memory that was taken, if any was. */
  giveBackScratch(): void {
    const scratch = this.#scratch;
    if (scratch === undefined || !this.#ownsScratch) return;
    // Programs whose end nobody awaited, since another one failed, still run in it.
    // And a thread that has come to its end stands in it: should the tool die now, it must have a place to wait.
    for (const thread of this.#started) {
      thread.quiesce();
      thread.waitAgain();
    }
    this.#scratch = undefined;
    this.#alive = undefined;
    this.undoCall("munmap", scratch.address, scratch.size);
    this.#scratchNoted?.erase();
  }

  /** Gives the scratch memory back and closes what is open here. The threads stay stopped. */
  [Symbol.dispose](): void {
    try {
      this.giveBackScratch();
    } catch (error) {
      // A task that is gone has no scratch memory either.
      if (!(error instanceof StasisError && error.code === "no-such-task")) throw error;
    } finally {
      this.memory[Symbol.dispose]();
    }
  }
}

/** Programs under way in one task. */
export class StartedRuns {
  readonly #pid: number;
  readonly #memory: ProcessMemory;
  readonly #base: RemoteAddress;
  readonly #images: readonly { run: Run; image: ProgramImage; at: number }[];

  constructor(
    pid: number,
    memory: ProcessMemory,
    base: RemoteAddress,
    images: readonly { run: Run; image: ProgramImage; at: number }[],
  ) {
    this.#pid = pid;
    this.#memory = memory;
    this.#base = base;
    this.#images = images;
  }

  /** Waits for all of them, whatever comes of it: for clearing up after another error. */
  settle(): void {
    for (const { run } of this.#images) run.thread.quiesce();
  }

  /** Waits for all of them and reads their results. @throws {StasisError} `syscall` if a required call failed */
  finish(): ProgramReply[] {
    const replies = this.replies();
    for (const reply of replies) throwIfFailed(reply, this.#pid);
    return replies;
  }

  /** Waits for all of them and reads their results, also where a required call failed. */
  replies(): ProgramReply[] {
    for (const { run } of this.#images) run.thread.awaitEnd(run.program.purpose);
    return this.#images.map(({ image, at }) => {
      const base = offsetAddress(this.#base, at);
      const size = image.size - image.entriesAt;
      return image.reply(this.#memory.read(offsetAddress(base, image.entriesAt), size), base);
    });
  }
}

/** @throws {StasisError} `syscall` if a required call of a program failed, or what the call itself says */
export function throwIfFailed(reply: ProgramReply, pid: number): void {
  if (reply.failed === undefined) return;
  const { name, expect, explain } = reply.program
    .calls[reply.failed] as SyscallProgram["calls"][number];
  const line = reply.describe(reply.failed);
  const errno = /= -1 (\w+)$/.exec(line)?.[1];
  const explained = errno === undefined ? undefined : explain?.(errno);
  if (explained !== undefined) throw explained;
  const wanted = expect === undefined || errno !== undefined ? "" : `, not ${expect}`;
  throw new StasisError("syscall", `${reply.program.purpose}: task ${pid}: ${line}${wanted}`, {
    pid,
    errno,
    hint: errno === "ENOSYS" ? `this kernel has no ${name}` : undefined,
  });
}
