/**
 * The restore plan: images in, programs of system calls out, for every task and thread and stage. Making
 * it has no side effect; it can be printed, and edited before it runs.
 *
 * @module
 */
import type { core_entry } from "../../images/gen/thread_pb.ts";
import type { pstree_entry } from "../../images/gen/tree_pb.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { StasisError } from "../../base/errors.ts";
import type { Hooked } from "../hooks.ts";
import { offsetAddress, pageAlign, type RemoteAddress } from "../linux/address.ts";
import type { SyscallName } from "../linux/x86_64/syscalls.ts";
import {
  type Argument,
  type CallResult,
  formatCall,
  ProgramImage,
  SyscallProgram,
} from "../remote/program.ts";
import { SCRATCH_HEADER } from "../remote/scratch_memory.ts";
import {
  type Machine,
  type OperationOptions,
  type RestoredFiles,
  type RestoreHooks,
  type Stage,
  STAGES,
  type TaskPlanner,
  type ThreadPlanner,
  type TreePlanner,
} from "../plugin.ts";
import { type BirthAction, type BirthPlan, type SharedAtBirth, sharedAtBirth } from "./births.ts";
import { addBirth, addThread } from "./clone.ts";
import { directoryRemoval, makerProgram, type Removal } from "./lasting_objects.ts";
import { INIT, planPidNamespace } from "./pid_namespace.ts";
import { planUserNamespace } from "./user_namespace.ts";
import { openDead } from "./dead_tasks.ts";
import type { DeadTaskFile } from "./ghosts.ts";
import type { LinkedFile } from "./link_remaps.ts";
import { leaderEnd } from "./leader_end.ts";
import { TemporaryNames } from "./temporary_names.ts";
import { type NumberRange, SPARE } from "./service_numbers.ts";

/** A descriptor of this process, or a path to open here, that the seed gets under a number. */
export interface ServiceFile {
  /** The number in the seed and in all tasks, until the close stage. */
  readonly number: number;
  /** What to open here; absent where `descriptor` is given. */
  readonly path?: string;
  /** `O_*` for opening it. */
  readonly flags: number;
  /** A descriptor of this process. */
  readonly descriptor?: number;
}

/** A pidfd of a task that ends before the tree is born. */
export interface EndedPidfd {
  /** Its number in the seed. */
  readonly service: number;
  /** For pidfd_open(2). */
  readonly flags: number;
}

/** A file that gets its name when all else is done. */
export interface LastName {
  /** The directory in which its private directory is. */
  readonly parent: string;
  /** Where it is until then, relative to the private directory. */
  readonly inside: string;
  /** Its name, absolute. */
  readonly path: string;
}

/** The plan of one thread. */
export class PlannedThread implements ThreadPlanner {
  #programs: Partial<Record<Stage, SyscallProgram>> = {};
  /** The sizes of programs that are not kept, by stage. */
  #sizes: Partial<Record<Stage, number>> = {};
  readonly #readCore: () => core_entry;
  #core: core_entry | undefined;

  /** @param readCore reads its core image, which is kept then */
  constructor(readonly tid: number, readonly task: PlannedTask, readCore: () => core_entry) {
    this.#readCore = readCore;
  }

  /** Its core image, read when it is first asked for. @throws {StasisError} `bad-image` */
  get core(): core_entry {
    return this.load();
  }

  /** Reads its core image, unless that has been read. @throws {StasisError} `bad-image` */
  load(): core_entry {
    return this.#core ??= this.#readCore();
  }

  /** Its program for a stage; made empty when first asked for. */
  program(stage: Stage): SyscallProgram {
    const whose = this.tid === this.task.pid ? "" : ` of thread ${this.tid}`;
    return this.#programs[stage] ??= new SyscallProgram(`stage ${stage}${whose}`);
  }

  /**
   * Keeps nothing of its programs and image but how large the programs are: of a plan that is not carried out. Ten
   * thousand threads would take a hundred megabytes.
   */
  keepSizesAlone(): void {
    for (const stage of STAGES) {
      const size = this.sizeAt(stage);
      if (size > 0) this.#sizes[stage] = size;
    }
    this.#programs = {};
    this.#core = undefined;
  }

  /** How much memory its program for a stage takes, in bytes. */
  sizeAt(stage: Stage): number {
    const program = this.planned(stage);
    return program === undefined ? this.#sizes[stage] ?? 0 : new ProgramImage(program).size;
  }

  /** The program for a stage, if there is anything in it. */
  planned(stage: Stage): SyscallProgram | undefined {
    const program = this.#programs[stage];
    return program === undefined || program.isEmpty ? undefined : program;
  }
}

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

/** The plan of one task. */
export class PlannedTask implements TaskPlanner {
  /** Those that live, the leader first. */
  readonly threads: PlannedThread[] = [];
  /** The first thread, where others live and it does not. */
  ended: EndedLeader | undefined;
  /** Ids of threads that it has while it is being built and that end then. */
  readonly endedThreads: Set<number> = new Set();
  readonly #byTid = new Map<number, PlannedThread>();
  readonly #beforeBirths = new Map<number, SyscallProgram>();
  readonly #inSession = new SyscallProgram("what controls the session");

  constructor(
    readonly plan: RestorePlan,
    readonly entry: pstree_entry,
    readonly core: core_entry,
    private readonly owners: Owners,
  ) {}

  get pid(): number {
    return this.entry.pid;
  }
  get tree(): RestorePlan {
    return this.plan;
  }
  get files(): RestoredFiles {
    return this.plan.files;
  }
  get scratch(): { readonly start: RemoteAddress; readonly end: RemoteAddress } {
    return this.plan.scratch;
  }
  get parkedVdso(): RemoteAddress {
    return this.plan.parkedVdso;
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
  /** The threads that its first one makes. */
  get madeThreads(): readonly PlannedThread[] {
    return this.allThreads.slice(1);
  }
  beforeBirth(child: number): SyscallProgram {
    let program = this.#beforeBirths.get(child);
    if (program === undefined) {
      program = new SyscallProgram(`what task ${child} inherits`);
      this.#beforeBirths.set(child, program);
    }
    return program;
  }
  /** What it runs before it makes one of its offspring, if there is anything to run. */
  plannedBeforeBirth(child: number): SyscallProgram | undefined {
    const program = this.#beforeBirths.get(child);
    return program === undefined || program.isEmpty ? undefined : program;
  }
  inSession(): SyscallProgram {
    return this.#inSession;
  }
  endedThread(tid: number): void {
    // A first thread that ends is there in that stage in any case.
    if (tid === this.pid || this.endedThreads.has(tid)) return;
    this.endedThreads.add(tid);
    addThread(this.program("threads"), tid);
  }
  /** Adds a thread; the leader is the first. */
  addThread(thread: PlannedThread): void {
    this.threads.push(thread);
    this.#byTid.set(thread.tid, thread);
  }
  /** A thread by its tid. */
  thread(tid: number): PlannedThread | undefined {
    return this.#byTid.get(tid);
  }
}

/** Room for what the builder itself has run: it hands over descriptors, ends helpers and zombies, and the like. */
const OTHER_PROGRAMS = 1n << 16n;

/** The room for scratch memory in every task. Only what the programs need of it is really mapped. */
export const SCRATCH_ROOM = 1n << 30n;

/** What to do where descriptors have no room. */
export const DESCRIPTOR_HINT =
  "raise the hard limit of open files (ulimit -Hn), and restore from there";

/** What the tree planner needs beyond what it gathers. */
export interface PlanBasis {
  readonly images: ImageDirectory;
  readonly machine: Machine;
  readonly options: OperationOptions;
  readonly files: RestoredFiles;
  readonly births: BirthPlan;
  /** The descriptor numbers for use while the tree is being built, none of which a task has. */
  readonly services: NumberRange;
  /** The highest descriptor number that a task has; -1 if none has any. */
  readonly highestDescriptor: number;
  /** Where the scratch memory and the parked vDSO behind it fit in every task. */
  readonly hole: RemoteAddress;
  readonly plugins: readonly Hooked<RestoreHooks>[];
}

/** A whole restore, planned. */
export class RestorePlan implements TreePlanner {
  /** The images that it was made from. */
  readonly images: ImageDirectory;
  readonly machine: Machine;
  readonly options: OperationOptions;
  readonly files: RestoredFiles;
  /** How the tree is born. */
  readonly births: BirthPlan;
  /** The live tasks, parents before children. */
  readonly tasks: PlannedTask[] = [];
  readonly #byPid = new Map<number, PlannedTask>();
  /** The tasks that have ended: their core images. */
  readonly zombies: Map<number, core_entry> = new Map();
  /** What is done before that, by a task that shares the seed's descriptors and that outlives this process. */
  readonly names: TemporaryNames = new TemporaryNames();
  /** What the seed does. */
  readonly seed: SyscallProgram = new SyscallProgram("stage seed");
  /** What it does before it bears the root. */
  readonly birthplace: SyscallProgram = new SyscallProgram("the namespaces of the tree");
  /** The ids of tasks that are gone, and the files of `/proc` that the tree has of them. */
  readonly deadTasks: Map<number, DeadTaskFile[]> = new Map();
  /** Tasks that end before the tree is born, by names, with what there is of each. */
  readonly ended: Map<string, EndedPidfd[]> = new Map();
  /** Names that the checkpoint has made, which are deleted when the tree runs, each with its file if that is known. */
  readonly linkRemaps: Map<string, LinkedFile | undefined> = new Map();
  /** What the seed gets from this process. */
  readonly serviceFiles: ServiceFile[] = [];
  /** Directories of this restore's own: the service number of each by the directory that it is in. */
  readonly privateDirectories: Map<string, number> = new Map();
  /** The files that get their names when all else is done. */
  readonly lastNames: LastName[] = [];
  /** What a restore that fails takes away. */
  readonly removals: Removal[] = [];
  /** The hooks whose arm stage runs at the end. */
  readonly plugins: readonly Hooked<RestoreHooks>[];
  readonly scratch: { readonly start: RemoteAddress; readonly end: RemoteAddress };
  readonly parkedVdso: RemoteAddress;
  /** The descriptor numbers that are closed in the close stage. */
  readonly services: NumberRange;
  #nextService: number;
  /** The highest descriptor number in use so far, by tasks or while they are being built. */
  #highest: number;

  constructor(basis: PlanBasis) {
    this.images = basis.images;
    this.machine = basis.machine;
    this.options = basis.options;
    this.files = basis.files;
    this.births = basis.births;
    this.plugins = basis.plugins;
    this.services = basis.services;
    this.#nextService = basis.services.first;
    this.#highest = basis.highestDescriptor;
    if (this.isApart) {
      const { userNamespace, privileges } = basis.machine;
      if (userNamespace) planUserNamespace(this.birthplace, privileges);
      planPidNamespace(this.birthplace);
    }
    this.scratch = { start: basis.hole, end: offsetAddress(basis.hole, SCRATCH_ROOM) };
    this.parkedVdso = this.scratch.end;
  }

  /** Whether the tree gets a pid namespace of its own. */
  get isApart(): boolean {
    return this.options.newPidNamespace ?? false;
  }

  /** The pid of the root. */
  get pid(): number {
    return (this.tasks[0] as PlannedTask).pid;
  }

  /** The plan of a task. @throws {StasisError} `usage` if the plan has none of that pid */
  task(pid: number): PlannedTask {
    const task = this.#byPid.get(pid);
    if (task === undefined) throw new StasisError("usage", `the plan has no task ${pid}`, { pid });
    return task;
  }

  offspring(pid: number): readonly number[] {
    const actions = this.births.births.get(pid) ?? [];
    return actions.flatMap((action) => action.kind === "clone" ? [action.pid] : []);
  }

  /** What a task runs before it does something at the tree's birth, if anything. */
  beforeAction(pid: number, action: BirthAction): SyscallProgram | undefined {
    return action.kind === "clone"
      ? this.#byPid.get(pid)?.plannedBeforeBirth(action.pid)
      : undefined;
  }

  /** What a task runs after it has done something at the tree's birth, if anything. */
  afterAction(pid: number, action: BirthAction): SyscallProgram | undefined {
    const program = action.kind === "setsid" ? this.#byPid.get(pid)?.inSession() : undefined;
    return program?.isEmpty ? undefined : program;
  }

  /** Adds a task; parents come before their children. */
  addTask(task: PlannedTask): void {
    this.tasks.push(task);
    this.#byPid.set(task.pid, task);
  }

  /** Which of its maker's objects a task, zombie or helper shares when it is born. */
  sharedAtBirth(pid: number): SharedAtBirth {
    return sharedAtBirth(pid, this.births, (one) => {
      // A zombie has nothing that others could share.
      return this.#byPid.get(one) ?? (this.zombies.has(one) ? {} : undefined);
    });
  }

  service(): number {
    return this.asService(this.#nextService++);
  }

  /** A number, if it is one of the service numbers. @throws {StasisError} `conflict` if there are too few of them */
  asService(number: number): number {
    if (number < this.services.end) {
      this.#highest = Math.max(this.#highest, number);
      return number;
    }
    const { descriptorLimit } = this.machine;
    throw new StasisError(
      "conflict",
      `the descriptors of the tree leave too few numbers free to build it: ${descriptorLimit} may be open here`,
      { hint: DESCRIPTOR_HINT },
    );
  }

  /** How many descriptors a task must be allowed while it is being built. */
  get descriptorEnd(): number {
    return Math.min(this.#highest + 1 + SPARE, this.machine.descriptorLimit);
  }

  keep(fd: Argument, number: number): void {
    this.seed.call("dup3", fd, number, 0);
    this.seed.call("close", fd);
  }

  serviceFile(path: string, flags: number): number {
    const known = this.serviceFiles.find((file) => file.path === path && file.flags === flags);
    if (known !== undefined) return known.number;
    const number = this.service();
    this.serviceFiles.push({ number, path, flags });
    return number;
  }

  privateDirectory(parent: string): number {
    let number = this.privateDirectories.get(parent);
    if (number === undefined) this.privateDirectories.set(parent, number = this.service());
    return number;
  }

  nameLast(parent: string, inside: string, path: string): void {
    this.lastNames.push({ parent, inside, path });
  }

  serviceDescriptor(descriptor: number): number {
    const known = this.serviceFiles.find((file) => file.descriptor === descriptor);
    if (known !== undefined) return known.number;
    const number = this.service();
    this.serviceFiles.push({ number, descriptor, flags: 0 });
    return number;
  }

  endedPidfd(name: string, flags: number): number {
    const service = this.service();
    const pidfds = this.ended.get(name);
    if (pidfds === undefined) this.ended.set(name, [{ service, flags }]);
    else pidfds.push({ service, flags });
    return service;
  }

  outlives(
    made: CallResult,
    name: SyscallName,
    ...args: readonly (number | string | CallResult)[]
  ): void {
    this.removals.push({ made, name, args });
  }

  outlivesDirectory(made: CallResult, path: string): void {
    this.removals.push(directoryRemoval(made, path));
  }

  /** What a task does while the tree is born. */
  birthProgram(pid: number, actions: readonly BirthAction[]): SyscallProgram {
    const program = new SyscallProgram(`births by task ${pid}`);
    for (const action of actions) {
      addBirth(program, action, (child) => this.sharedAtBirth(child));
    }
    return program;
  }

  /**
   * How large the scratch memory is: as the programs of any one stage need it in any one task, in bytes.
   *
   * @throws {StasisError} `unsupported` if they are too large
   */
  scratchSize(): bigint {
    let most = Math.max(
      new ProgramImage(makerProgram(this.seed, this.removals)).size,
      new ProgramImage(this.names.program).size,
      new ProgramImage(this.birthplace).size,
    );
    for (const [pid, actions] of this.births.births) {
      most = Math.max(most, new ProgramImage(this.birthProgram(pid, actions)).size);
      for (const action of actions) {
        for (const program of [this.beforeAction(pid, action), this.afterAction(pid, action)]) {
          if (program !== undefined) most = Math.max(most, new ProgramImage(program).size);
        }
      }
    }
    for (const task of this.tasks) {
      for (const stage of STAGES) {
        let size = 0;
        for (const thread of task.allThreads) size += thread.sizeAt(stage);
        most = Math.max(most, size);
      }
    }
    const size = SCRATCH_HEADER + pageAlign(BigInt(most)) + OTHER_PROGRAMS;
    const room = this.scratch.end - this.scratch.start;
    if (size <= room) return size;
    throw new StasisError(
      "unsupported",
      `the tree takes programs of ${most} bytes to build, and there is room for ${room}`,
      { hint: "what waits in its pipes and sockets takes most of it: let the program read that" },
    );
  }

  /** The plan as strace would print it: one line a call, under headings of stage and task. */
  *describe(): Generator<string> {
    for (const file of this.serviceFiles) {
      const what = file.path === undefined ? `descriptor ${file.descriptor}` : file.path;
      yield `# descriptor ${file.number} is ${what} of the tool`;
    }
    for (const [parent, number] of this.privateDirectories) {
      yield `# descriptor ${number} is a new directory in ${parent}`;
    }
    if (!this.names.program.isEmpty) {
      yield "# names";
      yield* this.#lines(this.names.program);
    }
    for (const pidfds of this.ended.values()) {
      yield "clone3({}), which ends";
      yield* this.#lines(keepPidfds(0, pidfds));
    }
    if (!this.seed.isEmpty) {
      yield "# seed";
      yield* this.#lines(this.seed);
    }
    if (!this.birthplace.isEmpty) {
      yield "# namespaces";
      yield* this.#lines(this.birthplace);
    }
    if (this.isApart && this.pid !== INIT) yield `clone3({set_tid=${INIT}}), the init`;
    for (const [pid, files] of this.deadTasks) {
      yield `clone3({set_tid=${pid}}), which ends`;
      yield* this.#lines(openDead(pid, files));
    }
    const { births, groups, helpers } = this.births;
    for (const [pid, actions] of births) {
      for (const action of actions) {
        const before = this.beforeAction(pid, action);
        if (before !== undefined) yield* this.#lines(before, pid);
        yield `[${pid}] ${describeBirth(action)}`;
        const after = this.afterAction(pid, action);
        if (after !== undefined) yield* this.#lines(after, pid);
      }
    }
    for (const [pid, action] of groups) yield `[${pid}] ${describeBirth(action)}`;
    for (const { pid, adopter } of helpers) {
      yield `[${pid}] exit_group(0)${adopter === undefined ? "" : `, and ${adopter} adopts`}`;
    }
    for (const stage of STAGES.slice(1)) {
      for (const task of this.tasks) {
        if (stage === "seccomp_all" && task.ended !== undefined) yield* this.#endLeader(task.ended);
        const threads = stage === "signals" ? task.threads : task.allThreads;
        for (const thread of threads) {
          const program = thread.planned(stage);
          if (program === undefined) continue;
          yield `# ${stage}`;
          yield* this.#lines(program, thread.tid);
        }
      }
    }
    for (const { parent, inside, path } of this.lastNames) {
      const from = this.privateDirectories.get(parent) as number;
      yield `renameat2(${from}, "${inside}", AT_FDCWD, "${path}", 0)`;
    }
    for (const task of this.tasks) {
      for (const { tid } of task.threads) yield `[${tid}] registers, signal mask, run`;
    }
    for (const path of this.linkRemaps.keys()) yield `unlink("${path}")`;
  }

  *#endLeader({ thread, status }: EndedLeader): Generator<string> {
    const program = thread.planned("signals");
    if (program !== undefined) {
      yield "# signals";
      yield* this.#lines(program, thread.tid);
    }
    yield* this.#lines(leaderEnd(thread.core, status), thread.tid);
  }

  *#lines(program: SyscallProgram, tid?: number): Generator<string> {
    const prefix = tid === undefined ? "" : `[${tid}] `;
    for (const call of program.readonlyCalls) yield prefix + formatCall(call);
  }
}

/** Has the seed keep pidfds of a task. */
export function keepPidfds(pid: number, pidfds: readonly EndedPidfd[]): SyscallProgram {
  const program = new SyscallProgram("pidfds of a task that ends");
  for (const { service, flags } of pidfds) {
    const fd = program.call("pidfd_open", pid, flags);
    program.call("dup3", fd, service, 0);
    program.call("close", fd);
  }
  return program;
}

function describeBirth(action: BirthAction): string {
  switch (action.kind) {
    case "clone":
      return `clone3({set_tid=${action.pid}${action.sibling ? ", CLONE_PARENT" : ""}${
        action.exitSignal === undefined ? "" : `, exit_signal=${action.exitSignal}`
      }})`;
    case "setsid":
      return "setsid()";
    case "setpgid":
      return `setpgid(0, ${action.pgid})`;
    case "follow":
      return `setpgid(0, getpgid(${action.pid}))`;
  }
}
