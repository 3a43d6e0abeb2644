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
import { offsetAddress, PAGE_SIZE, pageAlign, type RemoteAddress } from "../linux/address.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { ProcessMemory } from "../linux/memory.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { ALL_SIGNALS } from "../linux/signals.ts";
import { formatArgument } from "../linux/strace.ts";
import { TAIL_ALIVE } from "../linux/x86_64/program_code.ts";
import { type SyscallName, SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { LANDING_WORDS } from "../linux/x86_64/waiting_code.ts";
import { ProgramImage, type ProgramReply, type SyscallProgram } from "./program.ts";
import {
  type CallMany,
  mapScratch,
  mapScratchInMany,
  type Scratch,
  SCRATCH_HEADER,
  unmapScratch,
} from "./scratch_memory.ts";
import { type PlacedRun, type Run, StartedRuns } from "./started_runs.ts";
import { type CallSite, type ProgramPlace, Tracee } from "./tracee.ts";
import { walkProgram } from "./walk_program.ts";
import type { Noted, Rescuer, Substitute } from "./undo.ts";

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

type Landing = NonNullable<CallSite["landing"]>;

/** The words that lead a call to the waiting place, while they stand in a target. */
interface Landed {
  readonly address: RemoteAddress;
  /** What else stands there. */
  readonly bytes: Uint8Array;
  readonly noted: Noted | undefined;
}

/** Programs that are to run in threads of one task. */
export interface TaskRuns {
  readonly remote: RemoteTask;
  readonly runs: readonly Run[];
}

/** System calls in the threads of one stopped task. */
export class RemoteTask implements Disposable {
  /** The thread group. */
  readonly pid: number;
  #leader: Tracee;
  /** The task's memory. */
  readonly memory: ProcessMemory;
  readonly #inner: InnerIds;
  readonly #sharedPending: readonly Siginfo[];
  readonly #shelter: Shelter | undefined;
  #instruction: RemoteAddress;
  #scratch: Scratch | undefined;
  #ownsScratch = true;
  /** Whether the words that lead a call to the waiting place stand in the target. */
  #landed = false;
  /** Where programs look whether their tracer lives; undefined if they need not. */
  #alive: RemoteAddress | undefined;
  /** Whether what is to be done with scratch memory first has been done ({@link Shelter.prepare}). */
  #isPrepared = false;
  /** The program that was started last, if it has a sequel. */
  #withSequel: ProgramPlace | undefined;
  /** The threads in which programs were started whose end has not been awaited. */
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
    this.#leader = leader;
    this.#sharedPending = sharedPending;
    this.#instruction = instruction;
    this.#inner = inner;
    this.#shelter = shelter;
    this.memory = new ProcessMemory(leader.tid);
  }

  /** The thread that makes calls for the whole task. */
  get leader(): Tracee {
    return this.#leader;
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
    return this.#landing((landing) => {
      const substitute = this.#substitute;
      try {
        return this.#callAt(landing, name, ...args);
      } catch (error) {
        if (substitute === undefined || substitute.isThere) throw error;
        // It may have been made already, and then finds nothing more to take back.
        return this.#callAt(landing, name, ...args);
      }
    }, true);
  }

  #callAt(landing: CallSite["landing"], name: SyscallName, ...args: (bigint | number)[]): bigint {
    const watched = this.#alive === undefined
      ? undefined
      : { code: (this.#scratch as Scratch).address, alive: this.#alive };
    const substitute = this.#substitute;
    const site = { instruction: this.#instruction, landing, watched, substitute };
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
    const landed = this.#beginLanding(landing, isUndo);
    try {
      return calls(landing);
    } finally {
      // It may stand behind its last call, from where the words lead on.
      this.leader.waitAgain();
      this.#endLanding(landed);
    }
  }

  #beginLanding({ stack, waiting }: Landing, isUndo: boolean): Landed {
    const address = offsetAddress(stack, -LANDING_WORDS * 8);
    const bytes = this.memory.read(address, 2 * LANDING_WORDS * 8);
    const noted = this.#noteLanding(address, bytes, isUndo);
    const words = new BigUint64Array(2 * LANDING_WORDS).fill(waiting);
    this.memory.write(address, new Uint8Array(words.buffer));
    this.#landed = true;
    return { address, bytes, noted };
  }

  #endLanding({ address, bytes, noted }: Landed): void {
    this.#landed = false;
    this.memory.write(address, bytes);
    noted?.erase();
  }

  /**
   * Has the words stand in many tasks while calls are made in all of them at the same time.
   *
   * @param tasks those that {@link #canJoin}
   * @throws {StasisError} the first of what has failed; whatever that is, the words are taken back
   */
  static #landInMany(
    tasks: readonly RemoteTask[],
    isUndo: boolean,
    calls: (callMany: CallMany) => void,
  ): void {
    const landings = new Map<RemoteTask, Landed>();
    const failures: unknown[] = [];
    const attempt = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        failures.push(error);
      }
    };
    attempt(() => {
      for (const task of tasks) {
        landings.set(task, task.#beginLanding(task.#shelter?.landing as Landing, isUndo));
      }
      calls((name, made) => {
        const outcomes = Tracee.callAll(made.map(({ task, args }) => {
          const remote = task as RemoteTask;
          return {
            thread: remote.leader,
            site: { instruction: remote.#instruction, landing: remote.#shelter?.landing },
            sharedPending: remote.#sharedPending,
            name,
            args,
          };
        }));
        const errors: unknown[] = [];
        outcomes.forEach((outcome, index) => {
          try {
            if (!("result" in outcome)) throw outcome.error;
            made[index]?.take(outcome.result);
          } catch (error) {
            errors.push(error);
          }
        });
        if (errors.length > 0) throw errors[0];
      });
    });
    attempt(() => Tracee.waitAgainAll([...landings.keys()].map(({ leader }) => leader)));
    for (const [task, landed] of landings) attempt(() => task.#endLanding(landed));
    if (failures.length > 0) throw failures[0];
  }

  /** Whether calls can be made in it as in others at the same time. */
  get #canJoin(): boolean {
    return this.#shelter?.landing !== undefined && !this.leader.needsTracer && !this.#landed &&
      this.#started.size === 0;
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
    return this.noteCall("close", fd);
  }

  /** Notes a call that is made in the task should the tool die. */
  noteCall(name: SyscallName, ...args: (bigint | number)[]): Noted | undefined {
    const registers = this.leader.callRegisters(this.#instruction, SYSCALLS[name], ...args);
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
    const placed = this.#place(layOut(runs));
    const { places } = placed;
    const substitute = this.#substitute;
    if (substitute !== undefined) {
      runs.forEach((run, index) => this.#walk(run, places[index] as ProgramPlace, substitute));
    } else {
      for (const { thread } of runs) this.#started.add(thread);
      if (options === undefined) Tracee.startAll(runs.map(({ thread }) => thread), places);
      else runs.forEach(({ thread }, at) => thread.start(places[at] as ProgramPlace, options));
    }
    return this.#startedRuns(placed);
  }

  /** Starts programs in many tasks at the same time. */
  static startAll(tasks: readonly TaskRuns[]): StartedRuns[] {
    const laidOut = tasks.map(({ remote, runs }) => ({ remote, layout: layOut(runs) }));
    RemoteTask.#makeRooms(laidOut);
    const placed = laidOut.map(({ remote, layout }) => remote.#place(layout));
    const together: { readonly thread: Tracee; readonly place: ProgramPlace }[] = [];
    tasks.forEach(({ remote, runs }, index) =>
      runs.forEach(({ thread }, at) => {
        remote.#started.add(thread);
        together.push({ thread, place: placed[index]?.places[at] as ProgramPlace });
      })
    );
    Tracee.startAll(together.map(({ thread }) => thread), together.map(({ place }) => place));
    return tasks.map(({ remote }, index) => remote.#startedRuns(placed[index] as Placed));
  }

  #startedRuns({ base, images }: Placed): StartedRuns {
    return new StartedRuns(this.pid, this.memory, base, images, () => {
      for (const { run: { thread } } of images) this.#started.delete(thread);
    });
  }

  /** Makes the calls of a program one by one, each traced by somebody else. */
  #walk({ thread, program: { purpose } }: Run, place: ProgramPlace, substitute: Substitute): void {
    this.#landing((landing) => {
      walkProgram(this.memory, place, (number, args) => {
        const registers = thread.callRegisters(this.#instruction, number, ...args);
        if (landing) registers.set("sp", landing.stack).set("bp", landing.stack);
        return thread.callBy(substitute, registers, purpose);
      });
    });
  }

  /** Who makes the calls that cannot look yet whether this tool lives, and must not be made without it. */
  get #substitute(): Substitute | undefined {
    if (this.#isPrepared || !this.leader.needsTracer) return undefined;
    // Without a place to wait for the guardian the thread ends with the tool.
    const substitute = this.#shelter?.landing && this.#shelter.rescuer.substitute;
    return substitute?.isThere ? substitute : undefined;
  }

  /** Puts programs into the scratch memory, to be started. */
  #place({ images, size }: Layout): Placed {
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
    this.#withSequel = places.find(({ sequel }) => sequel !== undefined);
    return { base, images, places };
  }

  /**
   * Has the task run a program that ends it, with all signals blocked and nobody to trace it; that it dies with this
   * process must have been undone. No call can be made in it any more.
   */
  leave(program: SyscallProgram): void {
    const { places: [place] } = this.#place(layOut([{ thread: this.leader, program }]));
    this.#leaveAt(place as ProgramPlace);
    this.memory[Symbol.dispose]();
  }

  /**
   * Has the thread that makes the calls run a program that ends it alone, in the same way, and another one make them
   * from then on, when it has ended.
   */
  replaceLeader(program: SyscallProgram, next: Tracee): void {
    const { places: [place] } = this.#place(layOut([{ thread: this.leader, program }]));
    this.#leaveAt(place as ProgramPlace);
    this.#leader = next;
  }

  /** As {@link leave}, with the sequel of the program that was run last. */
  leaveToSequel(): void {
    const place = this.#withSequel as ProgramPlace;
    this.#leaveAt({ ...place, entries: place.sequel as bigint });
    this.memory[Symbol.dispose]();
  }

  #leaveAt({ code, entries, tail, alive }: ProgramPlace): void {
    this.leader.registers.set("ip", code).set("orig_ax", -1n).set("bx", entries)
      .set("r12", tail).set("r13", alive);
    this.leader.signalMask = ALL_SIGNALS;
    this.leader.release();
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
      this.#scratch = this.#takeScratch(needed);
      this.#shelter?.prepare?.(this);
      this.#isPrepared = true;
    }
    return offsetAddress((this.#scratch as unknown as Scratch).address, SCRATCH_HEADER);
  }

  /** Makes sure of scratch memory in many tasks. Those that cannot have it together with others get it by themselves. */
  static #makeRooms(
    tasks: readonly { readonly remote: RemoteTask; readonly layout: Layout }[],
  ): void {
    const lacking = tasks.filter(({ remote }) => remote.#scratch === undefined && remote.#canJoin);
    if (lacking.length < 2) return;
    const borrowers = lacking.map(({ remote, layout: { size } }) => ({
      task: remote,
      needed: SCRATCH_HEADER + pageAlign(BigInt(size)),
      findRoom: (size: bigint) => remote.#shelter?.findRoom(size),
      take: (scratch: Scratch) => void (remote.#scratch = scratch),
    }));
    RemoteTask.#landInMany(
      lacking.map(({ remote }) => remote),
      false,
      (callMany) => mapScratchInMany(borrowers, callMany),
    );
    for (const { remote } of lacking) {
      if (remote.#scratch === undefined) continue;
      remote.#shelter?.prepare?.(remote);
      remote.#isPrepared = true;
    }
  }

  #takeScratch(needed: bigint): Scratch {
    return this.#landing(() => mapScratch(this, needed, this.#shelter?.findRoom));
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
    try {
      // The call begins in that very memory, where it looks for the last time whether the tracer lives.
      unmapScratch(this, scratch);
    } finally {
      this.#scratch = undefined;
      this.#alive = undefined;
      this.#isPrepared = false;
    }
  }

  /** Unmaps the scratch memory of many tasks. What does not succeed is left to each of them. */
  static giveBackAll(tasks: readonly RemoteTask[]): void {
    const lending = tasks.filter((task) =>
      task.#scratch !== undefined && task.#ownsScratch && task.#canJoin &&
      task.#alive === undefined
    );
    if (lending.length < 2) return;
    try {
      RemoteTask.#landInMany(lending, true, (callMany) => {
        callMany(
          "munmap",
          lending.map((task) => {
            const { address, size, noted } = task.#scratch as Scratch;
            return {
              task,
              args: [address, size],
              take(result) {
                if (isErrno(result)) return;
                noted?.erase();
                task.#scratch = undefined;
                task.#isPrepared = false;
              },
            };
          }),
        );
      });
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
    }
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

/** Programs as they lie one behind the other in scratch memory. */
interface Layout {
  readonly images: readonly PlacedRun[];
  /** In bytes. */
  readonly size: number;
}

/** Programs that stand in scratch memory. */
interface Placed {
  readonly base: RemoteAddress;
  readonly images: readonly PlacedRun[];
  readonly places: readonly ProgramPlace[];
}

function layOut(runs: readonly Run[]): Layout {
  const images: PlacedRun[] = [];
  let size = 0;
  const laidOut = new Map<SyscallProgram, ProgramImage>();
  for (const run of runs) {
    const image = laidOut.get(run.program) ?? new ProgramImage(run.program);
    laidOut.set(run.program, image);
    images.push({ run, image, at: size });
    size += image.size;
  }
  return { images, size };
}
