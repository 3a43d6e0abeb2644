/**
 * The restore plan: images in, programs of system calls out, for every task and thread and stage. Making
 * it has no side effect; it can be printed, and edited before it runs.
 *
 * @module
 */
import type { core_entry } from "../../images/gen/thread_pb.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import { StasisError } from "../../base/errors.ts";
import type { Hooked } from "../hooks.ts";
import { offsetAddress, pageAlign, type RemoteAddress } from "../linux/address.ts";
import type { SyscallName } from "../linux/x86_64/syscalls.ts";
import { type Argument, type CallResult, SyscallProgram } from "../remote/program.ts";
import { ProgramImage } from "../remote/program_image.ts";
import { SCRATCH_HEADER } from "../remote/scratch_memory.ts";
import {
  type Machine,
  type OperationOptions,
  type RestoredFiles,
  type RestoreHooks,
  STAGES,
  type TreePlanner,
} from "../plugin.ts";
import type { BirthAction, BirthPlan } from "./births.ts";
import { type SharedAtBirth, sharedAtBirth } from "./shared_at_birth.ts";
import { addBirth } from "./clone.ts";
import { describePlan } from "./describe_plan.ts";
import type { EndedPidfd } from "./ended_pidfds.ts";
import { directoryRemoval, makerProgram, type Removal } from "./lasting_objects.ts";
import { planPidNamespace } from "./pid_namespace.ts";
import { planUserNamespace } from "./user_namespace.ts";
import type { DeadTaskFile } from "./ghosts.ts";
import type { LinkedFile } from "./link_remaps.ts";
import type { LastName, ServiceFile } from "./plan_files.ts";
import type { PlannedTask } from "./planned_task.ts";
import { TemporaryNames } from "./temporary_names.ts";
import { type NumberRange, SPARE } from "./service_numbers.ts";

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
    return action.kind === "setsid" ? this.#byPid.get(pid)?.plannedInSession() : undefined;
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
      most = Math.max(most, task.ended?.thread.sizeAt("signals") ?? 0);
      for (const stage of STAGES) {
        for (const lot of task.lotsIn(stage)) {
          most = Math.max(most, lot.reduce((sum, thread) => sum + thread.sizeAt(stage), 0));
        }
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
  describe(): Generator<string> {
    return describePlan(this);
  }
}
