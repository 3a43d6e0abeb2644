/**
 * The plugin contract: the stages and hooks of a restore, and what they work on. When each is called
 * stands in `plugin.ts`.
 *
 * @module
 */
import type { MessageShape } from "@bufbuild/protobuf";
import type { fdinfo_entry, file_entry } from "../../images/gen/descriptors_pb.ts";
import type { mm_entry, vma_entry } from "../../images/gen/memory_pb.ts";
import type { core_entrySchema } from "../../images/gen/thread_pb.ts";
import type { pstree_entry } from "../../images/gen/tree_pb.ts";
import type { ImageDirectory } from "../../images/mod.ts";
import type { Problem } from "../../base/errors.ts";
import type { RemoteAddress } from "../linux/address.ts";
import type { TaskStatus } from "../linux/procfs/mod.ts";
import type { SyscallName } from "../linux/x86_64/syscalls.ts";
import type { Argument, CallResult, SyscallProgram } from "../remote/program.ts";
import type { Tracee } from "../remote/tracee.ts";
import type { ListedCall } from "../remote/undo.ts";
import type { TreeClocks } from "../restore/tree_clocks.ts";
import type { Session } from "./session.ts";

type Awaitable<T> = T | Promise<T>;

/**
 * The stages of building, in order. In each stage the programs of all tasks run at the same time, and no
 * task begins a stage before all have ended the one before. Tasks that share descriptors, directories or
 * memory take turns within a stage, so the program of a leader may use descriptor numbers, change its
 * directory or its umask for a moment; those of other threads must not. In `seed` only the seed process runs,
 * before the tree exists: every task inherits what is made there.
 */
export const STAGES = [
  /** In the seed: what all tasks inherit (shared memory). */
  "seed",
  /** Open file descriptions are created, each in its home task. */
  "open",
  /** Those that need one which another task has made. Here all tasks take turns, whatever they share. */
  "meet",
  /** Descriptors get their numbers; tasks fetch the descriptions of others. */
  "share",
  /** What refers to descriptors by number: epoll targets, owners. */
  "connect",
  /** The address space. */
  "memory",
  /** Memory contents. */
  "contents",
  /** Threads are born. */
  "threads",
  /** State of the whole task: handlers, timers, limits, names. */
  "task",
  /** State of each thread. */
  "thread",
  /** Descriptors are needed no more: service descriptors are closed. */
  "close",
  /** Locks and watches (F_NOTIFY) that a task loses when it closes any descriptor of the file. From here on no task closes any. */
  "locks",
  /**
   * Seccomp filters that all threads of a task have: the first one gives them to all. Needs privilege still. A first
   * thread that is not to live has ended by then, behind its part of the stage "signals".
   */
  "seccomp_all",
  /** Seccomp of each thread beyond that. It is suspended until the thread runs. */
  "seccomp",
  /** Credentials. */
  "credentials",
  /** What a change of credentials resets: dumpable, pdeath_sig. */
  "late",
  /** Pending signals; every signal is blocked until the thread runs. */
  "signals",
] as const;

/** A stage of building. */
export type Stage = typeof STAGES[number];

/** One restore. */
export interface RestoreSession extends Session {
  /** The images. */
  readonly images: ImageDirectory;
  /** The machine that the tree is restored on. */
  readonly machine: Machine;
  /** The clocks that the tree will have. */
  readonly clocks: TreeClocks;
  /**
   * Whether this is no restore but a checkpoint that asks, before it ends the tree, whether its images can be
   * restored: `load` and the planning hooks are called for that. The tree still lives, and nobody has said yet what
   * is to be provided, or who is to restore it: what stands against a restore for one of these reasons alone (a name
   * that the tree itself has) is no problem then.
   */
  readonly rehearsal: boolean;
  /** Says that a directory is made, and all that is in it, before any file is opened. */
  willMake(directory: string): void;
  /** Whether a path is in such a directory: that it is not there yet is no problem. */
  isMade(path: string): boolean;
  /** The planner that restores a mapping. @throws {StasisError} if none does, or two do */
  mappingPlanner(vma: vma_entry, mm: mm_entry): MappingPlanner;
}

/** Facts of this machine that a plan depends on; read in the load phase. */
export interface Machine {
  /** The kernel's release, as uname(2) gives it. */
  readonly release: string;
  /** How many descriptors a task can have at most, its highest number being one less. */
  readonly descriptorLimit: number;
  /** The mappings of the vDSO and its data in a fresh process, lowest first, relative to the first. */
  readonly vdso: readonly VdsoPart[];
  /** What the restore may do. A rehearsal may do all that anybody can. */
  readonly privileges: Privileges;
  /** What every task starts with: the same, unless the tree gets a user namespace of its own. */
  readonly startPrivileges: Privileges;
  /** Whether it gets one. */
  readonly userNamespace: boolean;
}

/** The privileges of a process, as its `status` tells them. */
export interface Privileges
  extends Pick<TaskStatus, "caps" | "noNewPrivs" | "uids" | "gids" | "groups"> {
  /** See capabilities(7). */
  readonly securebits: number;
  /** Whether no other ids can be had, whatever the capabilities are: there are no others. */
  readonly idsAreFixed: boolean;
}

/** One of the kernel's mappings around the vDSO. */
export interface VdsoPart {
  /** `[vvar]`, `[vvar_vclock]`, `[vdso]`. */
  readonly name: string;
  /** Distance from the first part, in bytes. */
  readonly offset: bigint;
  /** In bytes. */
  readonly size: bigint;
}

/** A plugin's part of one restore. Every hook is optional. */
export interface RestoreHooks {
  /** Validates the images of this plugin and what they need on this machine. */
  load?(context: LoadContext): Awaitable<void>;
  /** The address ranges that a task will have mapped, so that the scratch memory keeps clear of them. */
  occupies?(pid: number): Iterable<{ readonly start: bigint; readonly end: bigint }>;
  /**
   * Descriptor numbers that the plugin's programs give to something for a moment, beside those that the tasks
   * have: service numbers keep clear of them.
   */
  numbers?(): Iterable<number>;
  /**
   * The signal that tells a task's parent of its end, 0 for none; undefined for SIGCHLD. Called for zombies too, and
   * not for the root.
   */
  exitSignal?(pid: number): number | undefined;
  /**
   * The wait status that the first thread of a task has ended with while others live; undefined where it lives, too.
   * Not called for zombies.
   */
  leaderStatus?(pid: number): number | undefined;
  /** Plans what belongs to the whole tree (the seed stage). */
  planTree?(tree: TreePlanner): void;
  /** Plans a task. Not called for zombies. */
  planTask?(task: TaskPlanner): void;
  /** Plans a thread (leaders too), after its task. */
  planThread?(thread: ThreadPlanner): void;
  /** The kinds of open file description that this plugin restores. */
  readonly descriptors?: readonly DescriptorPlanner[];
  /** The kinds of mapping that this plugin restores. */
  readonly mappings?: readonly MappingPlanner[];
  /**
   * Prepares this machine before anything is built, whatever is to be as before again on the undo stack. That is
   * disposed of when the tree runs, or the restore has failed; if this process is killed, nothing of it is done.
   */
  begin?(undo: DisposableStack): void;
  /** Prepares a thread that has just been born, before calls are injected into it (other than its birth's). */
  bornThread?(thread: ArmContext): void;
  /** Sets the very last state of a thread by ptrace. Nothing is injected any more after it. */
  armThread?(thread: ArmContext): void;
  /**
   * Does what cannot be undone, when the tree is whole and does not run yet. By what it throws the restore fails, and
   * nothing is left of the tree.
   */
  complete?(): void;
  /**
   * The restore has failed, and what was built of the tree is killed next. May fail without harm.
   *
   * @param pidOf what a task of the images is called here; undefined where it was not made
   */
  abandon?(pidOf: (pid: number) => number | undefined): void;
  /**
   * The calls by which another process does what `finish` does, where this one is killed just then. Where there are any,
   * the tree runs on from then on, whatever becomes of this process.
   */
  finishing?(): readonly ListedCall[];
  /** Lets what the tree is connected to go on, just before the tree does, which it does whatever fails here. */
  finish?(): void;
}

/** What a load hook works on. */
export interface LoadContext {
  /** The tasks of the images, parents before children. */
  readonly tasks: readonly pstree_entry[];
  /** Reports something that cannot be restored. */
  problem(problem: Omit<Problem, "plugin">): void;
}

/** A file of the images. */
export interface RestoredFiles {
  /** An entry of `files.img`. @throws {StasisError} `bad-image` if there is none */
  get(id: number): file_entry;
  /**
   * Adds calls that open a regular file entry.
   *
   * @param flags `O_*` instead of the entry's
   * @returns the call whose result is the descriptor
   */
  open(program: SyscallProgram, id: number, flags?: number): CallResult;
  /** The path of a regular file entry on this machine, after the user's remapping. */
  pathOf(id: number): string;
}

/** Plans the tree. */
export interface TreePlanner {
  readonly tasks: readonly TaskPlanner[];
  /**
   * Whom a task makes, in this order: children, zombies, and such as only help to build the tree and are gone before
   * it runs. Each begins with a copy of the memory of its maker at that moment (fork(2)).
   *
   * @param pid also of one that only helps
   */
  offspring(pid: number): readonly number[];
  /** The program of the seed. */
  readonly seed: SyscallProgram;
  /** What the seed does last, before it bears the root: it makes the namespaces that the tree is born into. */
  readonly birthplace: SyscallProgram;
  readonly files: RestoredFiles;
  /**
   * A descriptor number that every task inherits from the seed and that is closed in the close stage.
   * Fill it in the seed's program: {@link keep}.
   */
  service(): number;
  /** Adds calls to the seed's program that move a descriptor to a service number. */
  keep(fd: Argument, number: number): void;
  /** A file of this machine, opened by this process and handed to the seed. @returns its service number */
  serviceFile(path: string, flags: number): number;
  /**
   * A directory of this restore's own below another one, for files that get their names there when the tree is
   * complete: see {@link nameLast}. Whatever becomes of the restore, nobody else sees what is in it.
   *
   * @param parent absolute
   * @returns its service number
   */
  privateDirectory(parent: string): number;
  /**
   * Has a file get its name when the tree is complete, in place of a socket that has it.
   *
   * @param inside the file, relative to the private directory
   * @param path the name, absolute, on the file system of `parent`
   */
  nameLast(parent: string, inside: string, path: string): void;
  /** A descriptor of this process, handed to the seed. @returns its service number */
  serviceDescriptor(descriptor: number): number;
  /**
   * A pidfd of a task that ends, and is reaped, before the tree is born. Those of equal names are of the same task.
   *
   * @param flags for pidfd_open(2)
   * @returns its service number
   */
  endedPidfd(name: string, flags: number): number;
  /**
   * Says that a call of the seed's program makes something that stays when all tasks are gone. If the restore fails
   * or is killed, another call takes it away, in which `made` stands for what that call returned.
   */
  outlives(
    made: CallResult,
    name: SyscallName,
    ...args: readonly (number | string | CallResult)[]
  ): void;
  /**
   * The same of a directory that tasks of the tree are bound to (a control group): it is removed when the last of
   * them is dead. Directories are removed in the order in which this is said.
   */
  outlivesDirectory(made: CallResult, path: string): void;
}

/** Plans a task. */
export interface TaskPlanner {
  readonly pid: number;
  readonly entry: pstree_entry;
  /** The core image of its first thread. */
  readonly core: MessageShape<typeof core_entrySchema>;
  /**
   * The program for a stage of the thread that does what concerns the whole task: the first one, or, from the stage
   * "seccomp_all" on, another where that is to have ended. Add calls to it.
   */
  program(stage: Stage): SyscallProgram;
  /**
   * The program that it runs before it makes one of its {@link TreePlanner.offspring}: between the stage "seed" and
   * all others. It has the memory of its own maker then, and what it maps and fills the one that it makes inherits.
   */
  beforeBirth(child: number): SyscallProgram;
  /**
   * The program that it runs as soon as it leads a session, before it bears any member of that, all of whom inherit
   * the terminal that controls it by then.
   */
  inSession(): SyscallProgram;
  /**
   * Has a thread of this id in the stage "threads", which ends behind it and never runs: for state that is bound
   * to a thread which has ended, made by calls that are added to the leader's program of that stage.
   *
   * @param tid no id of the tree
   */
  endedThread(tid: number): void;
  /** Those that live. */
  readonly threads: readonly ThreadPlanner[];
  readonly tree: TreePlanner;
  readonly files: RestoredFiles;
  /** Where the vDSO's parts lie until they are moved to their place, as {@link Machine.vdso}. */
  readonly parkedVdso: RemoteAddress;
  /** Where the scratch memory lies; everything else is unmapped. It ends before the parked vDSO. */
  readonly scratch: { readonly start: RemoteAddress; readonly end: RemoteAddress };
  /** The first task with which it shares its descriptor table, memory, handlers, fs; itself if with none. */
  readonly filesOwner: number;
  readonly memoryOwner: number;
  readonly handlersOwner: number;
  readonly fsOwner: number;
}

/** Plans a thread. */
export interface ThreadPlanner {
  readonly tid: number;
  readonly task: TaskPlanner;
  /** The thread's core image. */
  readonly core: MessageShape<typeof core_entrySchema>;
  /** The program of this thread for a stage from "thread" on. */
  program(stage: Stage): SyscallProgram;
}

/** Restores one kind of open file description. */
export interface DescriptorPlanner {
  /** What it is, for messages. */
  readonly kind: string;
  /** The entries of `files.img` that it restores. */
  restores(file: file_entry): boolean;
  /**
   * Where the description is created, if not in the first task that has it: the seed, or the task in which
   * its other end was.
   */
  home?(file: file_entry, proposed: TaskPlanner): TaskPlanner | "seed";
  /** Whether it is created in the stage "meet", by way of one that another task has made. */
  meets?(file: file_entry): boolean;
  /** Adds calls that create it, and returns the descriptor; the core moves it to its place and closes that one. */
  plan(context: DescriptorPlan): Argument;
  /**
   * The open files that it holds without being a descriptor (SCM_RIGHTS in its queue), by their ids: they are made even
   * if no task has them, and can be used by {@link DescriptorConnect.numberOf}.
   */
  holds?(file: file_entry): Iterable<number>;
  /** Adds calls to the connect stage, when every task has all its descriptors. */
  connect?(context: DescriptorConnect): void;
}

/** What a descriptor planner works on. */
export interface DescriptorPlan {
  readonly file: file_entry;
  /** The task in which it is created; undefined for the seed. */
  readonly home: TaskPlanner | undefined;
  /** The program to add to. */
  readonly program: SyscallProgram;
  readonly tree: TreePlanner;
}

/** What a connect hook works on. */
export interface DescriptorConnect {
  readonly file: file_entry;
  /** The program to add to. */
  readonly program: SyscallProgram;
  /** The task that runs it, and its descriptors. */
  readonly home: TaskPlanner;
  /** A number by which the description can be used now. */
  readonly fd: number;
  /** The lowest number that it has in that task in the end; undefined where it has none there. */
  readonly number: number | undefined;
  /**
   * A number by which an open file can be used now that this description, or another one of the same home, holds.
   *
   * @throws {StasisError} `bad-image` of others: what holds it is nobody's
   */
  numberOf(id: number): number;
  /** The descriptors of that task: number to id of the description. */
  readonly descriptors: ReadonlyMap<number, fdinfo_entry>;
}

/** Restores one kind of mapping. */
export interface MappingPlanner {
  /** What it is, for messages. */
  readonly kind: string;
  /** The mappings that it restores. */
  restores(vma: vma_entry, mm: mm_entry): boolean;
  /**
   * Adds calls to the memory stage that map it.
   *
   * @param writable whether contents will be written to it before it gets its own protection
   */
  plan(vma: vma_entry, task: TaskPlanner, writable: boolean): void;
}

/** A thread that is complete but for what comes last. */
export interface ArmContext {
  /** Its process and itself, as the images call them. */
  readonly pid: number;
  readonly tid: number;
  /** The thread, under its ids here: others, where the tree has a pid namespace of its own. */
  readonly tracee: Tracee;
  readonly core: MessageShape<typeof core_entrySchema>;
}
