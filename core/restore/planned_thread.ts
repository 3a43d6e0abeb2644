/**
 * The plan of one thread: a program of system calls for each stage.
 *
 * @module
 */
import type { core_entry } from "../../images/gen/thread_pb.ts";
import { type Stage, STAGES, type TaskPlanner, type ThreadPlanner } from "../plugin.ts";
import { type SharedCalls, SyscallProgram } from "../remote/program.ts";
import { ProgramImage } from "../remote/program_image.ts";

/** What the programs of first threads are for: the same strings for all of them. */
const PURPOSES = Object.fromEntries(STAGES.map((stage) => [stage, `stage ${stage}`])) as Readonly<
  Record<Stage, string>
>;

/** The plan of one thread. */
export class PlannedThread implements ThreadPlanner {
  #programs: Partial<Record<Stage, SyscallProgram>> | undefined;
  /** The sizes of programs that are not kept, by stage. */
  #sizes: Partial<Record<Stage, number>> | undefined;
  readonly #readCore: (tid: number) => core_entry;
  readonly #pool: SharedCalls | undefined;
  #core: core_entry | undefined;

  /**
   * @param readCore reads the core image of a thread, which is kept then
   * @param pool has the calls that many tasks make alike; absent where there are few
   */
  constructor(
    readonly tid: number,
    readonly task: TaskPlanner,
    readCore: (tid: number) => core_entry,
    pool?: SharedCalls,
  ) {
    this.#readCore = readCore;
    this.#pool = pool;
  }

  /** Its core image, read when it is first asked for. @throws {StasisError} `bad-image` */
  get core(): core_entry {
    return this.load();
  }

  /** Reads its core image, unless that has been read. @throws {StasisError} `bad-image` */
  load(): core_entry {
    return this.#core ??= this.#readCore(this.tid);
  }

  /** Its program for a stage; made empty when first asked for. */
  program(stage: Stage): SyscallProgram {
    this.#programs ??= {};
    return this.#programs[stage] ??= new SyscallProgram(this.#purposeOf(stage), this.#pool);
  }

  #purposeOf(stage: Stage): string {
    return this.tid === this.task.pid
      ? PURPOSES[stage]
      : `${PURPOSES[stage]} of thread ${this.tid}`;
  }

  /** Has its programs take no more memory than they need: nearly all has been planned. */
  settle(): void {
    for (const program of Object.values(this.#programs ?? {})) program.settle();
  }

  /**
   * Keeps nothing of its programs and image but how large the programs are: of a plan that is not carried out. Ten
   * thousand threads would take a hundred megabytes. What is added to a program then is laid out by itself, in a little
   * more memory than it takes.
   */
  keepSizesAlone(): void {
    const sizes: Partial<Record<Stage, number>> = {};
    for (const stage of STAGES) {
      const size = this.sizeAt(stage);
      if (size > 0) sizes[stage] = size;
    }
    this.#sizes = sizes;
    this.#programs = undefined;
    this.#core = undefined;
  }

  /** How much memory its program for a stage takes, in bytes. */
  sizeAt(stage: Stage): number {
    const program = this.planned(stage);
    const added = program === undefined ? 0 : new ProgramImage(program).size;
    return (this.#sizes?.[stage] ?? 0) + added;
  }

  /** Whether it has anything to do in a stage. */
  worksIn(stage: Stage): boolean {
    return this.planned(stage) !== undefined || this.#sizes?.[stage] !== undefined;
  }

  /** The program for a stage, if there is anything in it. */
  planned(stage: Stage): SyscallProgram | undefined {
    const program = this.#programs?.[stage];
    return program === undefined || program.isEmpty ? undefined : program;
  }
}
