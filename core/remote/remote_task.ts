/**
 * Running system calls inside a stopped task. One `RemoteTask` serves all threads of a thread group, since
 * they share memory. Programs run in scratch memory that it borrows in the target and gives back (`remote_scratch.ts`);
 * single calls need none (`remote_calls.ts`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { RemoteAddress } from "../linux/address.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import { ALL_SIGNALS } from "../linux/signals.ts";
import { TAIL_ALIVE } from "../linux/x86_64/program_code.ts";
import type { SyscallProgram } from "./program.ts";
import { ProgramImage } from "./program_image.ts";
import type { ProgramReply } from "./program_reply.ts";
import type { Shelter } from "./remote_calls.ts";
import { RemoteScratch } from "./remote_scratch.ts";
import { type PlacedRun, type Run, StartedRuns } from "./started_runs.ts";
import { Tracee } from "./tracee.ts";
import type { ProgramPlace } from "./tracee_programs.ts";
import type { Substitute } from "./undo.ts";
import { walkProgram } from "./walk_program.ts";

/** How a task's ids look from inside its own pid namespace. */
export interface InnerIds {
  /** The thread group id as the task itself sees it. */
  readonly pid: number;
  /** A thread's id as the thread itself sees it. */
  tid(tid: number): number;
}

/** Programs that are to run in threads of one task. */
export interface TaskRuns {
  readonly remote: RemoteTask;
  readonly runs: readonly Run[];
}

/** System calls in the threads of one stopped task. */
export class RemoteTask extends RemoteScratch implements Disposable {
  readonly #inner: InnerIds;
  readonly #prepare: ((remote: RemoteTask) => void) | undefined;
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
   * @param prepare is called whenever the task has got scratch memory
   */
  constructor(
    leader: Tracee,
    sharedPending: readonly Siginfo[],
    instruction: RemoteAddress,
    inner: InnerIds,
    shelter?: Shelter,
    prepare?: (remote: RemoteTask) => void,
  ) {
    super(leader, sharedPending, instruction, shelter);
    this.#inner = inner;
    this.#prepare = prepare;
  }

  protected override prepare(): void {
    this.#prepare?.(this);
  }

  protected override get isBusy(): boolean {
    return this.#started.size > 0;
  }

  protected override endPrograms(): void {
    // Those whose end nobody awaited, since another one failed, still run in scratch memory. And a thread that has come
    // to its end stands in it: should the tool die now, it must have a place to wait.
    for (const thread of this.#started) {
      thread.quiesce();
      thread.waitAgain();
    }
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
    const substitute = this.substitute;
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
    RemoteTask.makeRooms(laidOut.map(({ remote, layout: { size } }) => ({ remote, size })));
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
    this.landing((landing) => {
      walkProgram(this.memory, place, (number, args) => {
        const registers = thread.callRegisters(this.instruction, number, ...args);
        if (landing) registers.set("sp", landing.stack).set("bp", landing.stack);
        return thread.callBy(substitute, registers, purpose);
      });
    });
  }

  /** Puts programs into the scratch memory, to be started. */
  #place({ images, size }: Layout): Placed {
    const base = this.room(size);
    const { code } = this;
    const bytes = new Uint8Array(size);
    for (const { run, image, at } of images) {
      image.emit(bytes.subarray(at, at + image.size), base + BigInt(at), {
        tgid: this.#inner.pid,
        tid: this.#inner.tid(run.thread.tid),
        signal: run.thread.endSignal(this.sharedPending),
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
        alive: this.watched?.alive ?? tail + BigInt(TAIL_ALIVE),
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
    this.leader = next;
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
