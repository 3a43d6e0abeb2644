/**
 * The plan of one task: its threads, and what it runs while the tree is born.
 *
 * @module
 */
import type { core_entry } from "../../images/gen/thread_pb.ts";
import type { pstree_entry } from "../../images/gen/tree_pb.ts";
import type { RemoteAddress } from "../linux/address.ts";
import type { RestoredFiles, Stage, TaskPlanner, TreePlanner } from "../plugin.ts";
import { SyscallProgram } from "../remote/program.ts";
import { addThreads } from "./clone.ts";
import type { PlannedThread } from "./planned_thread.ts";

/** What ids of shared kernel objects say of a task: the first task that has the same. */
export interface Owners {
  readonly files: number;
  readonly memory: number;
  readonly handlers: number;
  readonly fs: number;
}

/** A first thread that ends before the tree runs. It makes the task, and what does not need the others' rights. */
export interface EndedLeader {
  readonly thread: PlannedThread;
  /** How it ends, as wait(2) tells it. */
  readonly status: number;
}

/**
 * The stages in which a first thread that ends has no part: it has ended before. Filters that all threads get would
 * forbid it to, and tasks that it has made must not want a signal at its end yet (PR_SET_PDEATHSIG). The stage
 * "signals" it goes through alone and before them: nobody else may queue signals of the kernel's for the task.
 */
const WITHOUT_ENDED: ReadonlySet<Stage> = new Set([
  "seccomp_all",
  "seccomp",
  "credentials",
  "late",
]);

/** What a task has of the plan that it belongs to. */
interface PlanOfTask extends TreePlanner {
  readonly scratch: TaskPlanner["scratch"];
  readonly parkedVdso: RemoteAddress;
}

/** How many threads of a task run their programs at the same time. */
const TOGETHER = 256;

/** The plan of one task. */
export class PlannedTask implements TaskPlanner {
  /** Those that live, the leader first. */
  readonly threads: PlannedThread[] = [];
  /** The first thread, where others live and it does not. */
  ended: EndedLeader | undefined;
  /** Ids of threads that it has while it is being built and that end then. */
  readonly endedThreads: number[] = [];
  // What is below is made when it is needed: of thousands of tasks nearly none needs it.
  /** Those that live, by tid; absent where there is none but the first. */
  #byTid: Map<number, PlannedThread> | undefined;
  #beforeBirths: Map<number, SyscallProgram> | undefined;
  #inSession: SyscallProgram | undefined;

  constructor(
    readonly tree: PlanOfTask,
    readonly entry: pstree_entry,
    readonly core: core_entry,
    private readonly owners: Owners,
  ) {}

  get pid(): number {
    return this.entry.pid;
  }
  get files(): RestoredFiles {
    return this.tree.files;
  }
  get scratch(): TaskPlanner["scratch"] {
    return this.tree.scratch;
  }
  get parkedVdso(): RemoteAddress {
    return this.tree.parkedVdso;
  }
  get filesOwner(): number {
    return this.owners.files;
  }
  get memoryOwner(): number {
    return this.owners.memory;
  }
  get handlersOwner(): number {
    return this.owners.handlers;
  }
  get fsOwner(): number {
    return this.owners.fs;
  }
  program(stage: Stage): SyscallProgram {
    const ended = WITHOUT_ENDED.has(stage) ? undefined : this.ended?.thread;
    return (ended ?? this.threads[0] as PlannedThread).program(stage);
  }
  /** All threads that it ever has: one that ends is the first. */
  get allThreads(): readonly PlannedThread[] {
    return this.ended === undefined ? this.threads : [this.ended.thread, ...this.threads];
  }
  /**
   * The threads that have something to do in a stage, by those that do it at the same time: each program needs memory in
   * the task, and here until it has been run. What a first thread that ends does with its signals it does by itself.
   */
  lotsIn(stage: Stage): PlannedThread[][] {
    const working = (stage === "signals" ? this.threads : this.allThreads)
      .filter((thread) => thread.worksIn(stage));
    return Array.from(
      { length: Math.ceil(working.length / TOGETHER) },
      (_, lot) => working.slice(lot * TOGETHER, (lot + 1) * TOGETHER),
    );
  }
  /** The threads that its first one makes. */
  get madeThreads(): readonly PlannedThread[] {
    return this.allThreads.slice(1);
  }
  beforeBirth(child: number): SyscallProgram {
    let program = this.#beforeBirths?.get(child);
    if (program === undefined) {
      program = new SyscallProgram(`what task ${child} inherits`);
      (this.#beforeBirths ??= new Map()).set(child, program);
    }
    return program;
  }
  /** What it runs before it makes one of its offspring, if there is anything to run. */
  plannedBeforeBirth(child: number): SyscallProgram | undefined {
    const program = this.#beforeBirths?.get(child);
    return program === undefined || program.isEmpty ? undefined : program;
  }
  /** What it runs when it has begun its session, if there is anything to run. */
  plannedInSession(): SyscallProgram | undefined {
    return this.#inSession?.isEmpty === false ? this.#inSession : undefined;
  }
  inSession(): SyscallProgram {
    return this.#inSession ??= new SyscallProgram("what controls the session");
  }
  endedThread(tid: number): void {
    // A first thread that ends is there in that stage in any case.
    if (tid === this.pid || this.endedThreads.includes(tid)) return;
    this.endedThreads.push(tid);
    addThreads(this.program("threads"), [tid]);
  }
  /** Adds a thread; the leader is the first. */
  addThread(thread: PlannedThread): void {
    const [first] = this.threads;
    this.threads.push(thread);
    if (first === undefined) return;
    this.#byTid ??= new Map([[first.tid, first]]);
    this.#byTid.set(thread.tid, thread);
  }
  /** A thread by its tid. */
  thread(tid: number): PlannedThread | undefined {
    if (this.#byTid !== undefined) return this.#byTid.get(tid);
    const [first] = this.threads;
    return first?.tid === tid ? first : undefined;
  }
}
