/**
 * The plugin contract. Everything that has state is handled by a plugin: the core only knows phases,
 * tasks and threads. The built-in plugins use this contract and nothing more.
 *
 * A plugin is a plain object made by {@link definePlugin}. For each operation the core asks it for a fresh
 * set of hooks (`checkpoint(session)`, `restore(session)`), so what a plugin remembers from one hook to
 * the next lives in the closure of that call, and two operations never meet.
 *
 * ## A checkpoint calls, in this order
 *
 * | phase | hook | called | the target |
 * |---|---|---|---|
 * | survey | `survey` | once, and again after the freeze | runs, then stands still |
 * | freeze | `freezeThread` | for each thread, before anything is injected | stands still |
 * | dump | `collectTask`, `collectThread` | for each task and thread: adds calls to one program | |
 * | dump | what they returned | with the program's results | |
 * | dump | `descriptors[].dump` | once for each open file description | |
 * | dump | `dumpTask`, `dumpTree` | for each task; once | |
 * | pages | `pages` | once | |
 * | release | what `freezeThread` put on the undo stack | in reverse order | runs on |
 *
 * ## A restore calls
 *
 * | phase | hook | called | may |
 * |---|---|---|---|
 * | load | `load` | once | read images and the machine, report problems |
 * | plan | `occupies`, `planTree`, `planTask`, `planThread`, `descriptors[].plan` | | only add calls to programs: planning has no side effects |
 * | build | `bornThread` | for each thread when it is born | set ptrace options |
 * | arm | `armThread` | for each thread, when all else is done | set state by ptrace |
 *
 * Hooks of different plugins run in plugin order (`after`, `before`; otherwise as listed), never at once.
 * A hook that throws ends the operation, everything is undone, and the error names the plugin.
 *
 * @module
 */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type {
  fd_types,
  fdinfo_entry,
  file_entry,
  file_entrySchema,
} from "../images/gen/descriptors_pb.ts";
import type { fown_entrySchema } from "../images/gen/file_owner_pb.ts";
import type { mm_entry, vma_entry, vma_entrySchema } from "../images/gen/memory_pb.ts";
import type { thread_info_x86Schema } from "../images/gen/registers_x86_pb.ts";
import type {
  core_entry_march,
  core_entrySchema,
  task_core_entrySchema,
  thread_core_entrySchema,
} from "../images/gen/thread_pb.ts";
import type { pstree_entry } from "../images/gen/tree_pb.ts";
import type { ImageDirectory, ImageKind, ImageWriter, RawImageKind } from "../images/mod.ts";
import type { Descriptor, Task } from "./checkpoint/task.ts";
import type { Problem } from "./errors.ts";
import type { RemoteAddress } from "./linux/address.ts";
import type { Vma } from "./linux/procfs/mod.ts";
import type { Siginfo } from "./linux/siginfo.ts";
import type { Argument, CallResult, ProgramReply, SyscallProgram } from "./remote/program.ts";
import type { RemoteTask } from "./remote/remote_task.ts";
import type { Tracee } from "./remote/tracee.ts";

type Awaitable<T> = T | Promise<T>;

/** A plugin. */
export interface Plugin {
  /** Its name, unique, lower case: it stands in the inventory of images that need it. */
  readonly name: string;
  /** What it saves, one line. */
  readonly description: string;
  /** The image kinds that it owns. */
  readonly images?: readonly (ImageKind | RawImageKind)[];
  /** Names of plugins whose hooks run before this one's. */
  readonly after?: readonly string[];
  /** Names of plugins whose hooks run after this one's. */
  readonly before?: readonly string[];
  /** What `stasis check` tells of this plugin's needs on this machine. Must not need privilege to fail softly. */
  check?(): readonly Feature[];
  /** Hooks for one checkpoint. */
  checkpoint?(session: CheckpointSession): CheckpointHooks;
  /** Hooks for one restore. */
  restore?(session: RestoreSession): RestoreHooks;
}

/**
 * Makes a plugin: checks its name and returns it as it is.
 *
 * @throws {RangeError} of a name that is no lower-case word
 *
 * @example
 * ```ts
 * import { definePlugin } from "./plugin.ts";
 * const plugin = definePlugin({ name: "mine", description: "counts threads" });
 * console.log(plugin.name); // mine
 * ```
 */
export function definePlugin(plugin: Plugin): Plugin {
  if (!/^[a-z][a-z0-9_-]*$/.test(plugin.name)) {
    throw new RangeError(
      `"${plugin.name}" is no name for a plugin: lower-case letters, digits, - _`,
    );
  }
  return plugin;
}

/** One line of `stasis check`. */
export interface Feature {
  /** What, for example `PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG`. */
  readonly name: string;
  /** Whether this kernel and this user have it. */
  readonly available: boolean;
  /** Whether Stasis is useless without it. */
  readonly required: boolean;
  /** What it is needed for, or what to do without it. */
  readonly note: string;
}

/** What both directions give to their plugins. */
export interface Session {
  /** Cancels the operation; hooks with long work look at it. */
  readonly signal: AbortSignal;
  /** Options of the user, by name, as `--external`, `--inherit-fd` and the like. */
  readonly options: OperationOptions;
  /** Tells the user something: one sentence. */
  note(text: string): void;
  /** Tells details, for `-v`. */
  detail(text: string): void;
  /** Tells how far long work is, in bytes. */
  progress(what: string, done: bigint, total: bigint): void;
}

/** Options that plugins look at. */
export interface OperationOptions {
  /** Descriptors outside the tree: at restore, the resource's name (`pipe:[123]`, `tty:/dev/pts/1`) to a descriptor of this process. */
  readonly inheritFds?: Readonly<Record<string, number>>;
  /** Names of resources that are not to be saved but provided at restore. */
  readonly external?: readonly string[];
  /** At restore: files whose size has changed since the checkpoint are no problem. */
  readonly ignoreFileChange?: boolean;
  /** At restore: paths of images to paths of this machine. */
  readonly remap?: Readonly<Record<string, string>>;
  /** At a checkpoint: deleted files of at most so many bytes are saved with the images; 1 MiB if absent. */
  readonly ghostLimit?: bigint;
  /** Let the tree run on after the checkpoint. */
  readonly leaveRunning?: boolean;
  /** At restore: this process, the parent of the restored root, ends before the tree does. */
  readonly detached?: boolean;
}

/* ------------------------------------------------------------------ checkpoint */

/** One checkpoint. */
export interface CheckpointSession extends Session {
  /** Where the images go. */
  readonly writer: ImageWriter;
  /** The open file descriptions and paths of the images (`files.img`). */
  readonly files: FileTable;
  /** Says that the images need this plugin: its name goes into the inventory. */
  requirePlugin(): void;
  /** The dumper that claims a mapping. @throws {StasisError} if none does, or two do */
  mappingDumper(vma: Vma, task: Task): MappingDumper;
}

/** A plugin's part of one checkpoint. Every hook is optional. */
export interface CheckpointHooks {
  /** Looks for what cannot be saved and reports it. Must not disturb the target. */
  survey?(tree: SurveyContext): Awaitable<void>;
  /** Makes a thread safe to inject calls into; what it changes it puts on the undo stack. */
  freezeThread?(thread: StoppedThread, undo: DisposableStack): void;
  /** Adds calls to the program that the leader of each task runs. */
  collectTask?(task: FrozenTask, program: SyscallProgram): Collected | void;
  /** Adds calls to the program that each thread (leaders too) runs. */
  collectThread?(thread: FrozenThread, program: SyscallProgram): Collected | void;
  /** Writes what a task has. Not called for zombies. */
  dumpTask?(task: FrozenTask): Awaitable<void>;
  /** Writes what the tree has, after all tasks. */
  dumpTree?(tree: FrozenTree): Awaitable<void>;
  /** Writes memory contents. */
  pages?(tree: FrozenTree): Awaitable<void>;
  /** The kinds of open file description that this plugin saves. */
  readonly descriptors?: readonly DescriptorDumper[];
  /** The kinds of mapping that this plugin saves. */
  readonly mappings?: readonly MappingDumper[];
}

/** Takes the results of the calls that a collect hook added. */
export type Collected = (reply: ProgramReply) => void;

/** What a survey sees. */
export interface SurveyContext {
  /** All tasks of the tree, parents before children, zombies included. */
  readonly tasks: readonly Task[];
  /** The root of the tree. */
  readonly root: Task;
  /** Whether the tasks stand still by now. */
  readonly frozen: boolean;
  /** Reports something that cannot be saved. */
  problem(problem: Omit<Problem, "plugin">): void;
}

/** A message as a plain object that may be changed until it is written. */
export type MessageDraft<Schema extends DescMessage> = Exclude<
  MessageInitShape<Schema>,
  MessageShape<Schema>
>;

/** The core image of a thread while it is put together: every plugin sets the fields that it knows. */
export interface CoreImage {
  mtype: core_entry_march;
  /** Registers. */
  threadInfo?: MessageDraft<typeof thread_info_x86Schema>;
  /** What belongs to the whole task; only the leader's image has it. */
  tc?: MessageDraft<typeof task_core_entrySchema>;
  /** What belongs to the thread. */
  threadCore: MessageDraft<typeof thread_core_entrySchema>;
}

/** A thread that stands still, before anything may be injected into its task. */
export interface StoppedThread {
  readonly tid: number;
  /** Registers, signal mask and own pending signals; hooks may adjust the registers. */
  readonly tracee: Tracee;
  /** What `/proc` says of its task now. */
  readonly proc: Task;
  /** The signals that wait for the whole task. */
  readonly sharedPending: readonly Siginfo[];
}

/** A thread that stands still and is safe to inject into. */
export interface FrozenThread {
  readonly tid: number;
  readonly task: FrozenTask;
  /** Registers, signal mask and own pending signals at the freeze. */
  readonly tracee: Tracee;
  /** Its core image. */
  readonly core: CoreImage;
}

/** A task (thread group) that stands still. */
export interface FrozenTask {
  readonly pid: number;
  /** What `/proc` says now. */
  readonly proc: Task;
  /** Runs calls in it. Zombies have none: they are in {@link FrozenTree.zombies}. */
  readonly remote: RemoteTask;
  readonly leader: FrozenThread;
  /** All threads, the leader first. */
  readonly threads: readonly FrozenThread[];
  /** The signals that waited for the whole task at the freeze. */
  readonly sharedPending: readonly Siginfo[];
  /** The first task of the tree with which it shares its descriptor table (itself if with none). */
  readonly filesOwner: number;
  /** The same of its memory. */
  readonly memoryOwner: number;
  /** The same of its signal handlers. */
  readonly handlersOwner: number;
  /** The same of its cwd, root and umask. */
  readonly fsOwner: number;
}

/** A tree that stands still. */
export interface FrozenTree {
  /** The live tasks, parents before children. */
  readonly tasks: readonly FrozenTask[];
  /** Tasks that have ended and were not reaped. */
  readonly zombies: readonly Task[];
}

/** What a dumper writes about an open file description: everything but the id, which the core gives. */
export type FileImage =
  & Omit<MessageInitShape<typeof file_entrySchema>, "id" | "$typeName" | "type">
  & {
    type: fd_types;
  };

/** The open file descriptions and paths of the images being written. */
export interface FileTable {
  /**
   * Adds an entry to `files.img`.
   *
   * @param make makes the entry, told its id
   * @returns the id
   */
  add(make: (id: number) => FileImage): number;
  /**
   * A path, as executables, mapped files, working directories and roots need one: a regular file entry
   * without position. Equal arguments have one entry.
   *
   * @param path from the root of this process
   * @param flags `O_*` for opening it at restore
   * @param size in bytes, to be compared at restore; absent for what has none (directories)
   * @param behind of a deleted file: a path below /proc that leads to it (`core/checkpoint/whereabouts.ts`)
   * @returns the id
   */
  path(path: string, flags: number, size?: bigint, mode?: number, behind?: string): number;
  /**
   * Says that the file of an entry was deleted, and saves it with its contents.
   *
   * @param id the id of a regular file entry, whose name is the path that the file had
   * @param behind a path below /proc that leads to it (`core/checkpoint/whereabouts.ts`)
   */
  ghost(id: number, behind: string): void;
}

/** Saves one kind of open file description. */
export interface DescriptorDumper {
  /** What it is, for messages: `pipe`, `eventfd`. */
  readonly kind: string;
  /** Whether this descriptor is of that kind. Exactly one dumper of all plugins may say so. */
  claims(descriptor: Descriptor, task: Task): boolean;
  /** Says why this one cannot be saved, if it cannot. */
  survey?(descriptor: Descriptor, task: Task): Omit<Problem, "plugin" | "pid"> | undefined;
  /** Writes it; called once for each open file description. */
  dump(context: DescriptorDump): FileImage;
}

/** What a descriptor dumper works on. */
export interface DescriptorDump {
  readonly descriptor: Descriptor;
  readonly task: FrozenTask;
  /** The id of the description in the images. */
  readonly id: number;
  /** Its owner (F_SETOWN, F_SETSIG), as most images have it. */
  readonly fown: MessageInitShape<typeof fown_entrySchema>;
  /** The same open file description here, through pidfd_getfd(2); closed when the dump hook returns. */
  readonly fd: number;
}

/** Saves one kind of mapping. */
export interface MappingDumper {
  /** What it is, for messages. */
  readonly kind: string;
  /** Whether this mapping is of that kind. Exactly one dumper of all plugins may say so. */
  claims(vma: Vma, task: Task): boolean;
  /** Says why this one cannot be saved, if it cannot. */
  survey?(vma: Vma, task: Task): Omit<Problem, "plugin" | "pid"> | undefined;
  /** Describes it for `mm-PID.img`. */
  dump(vma: Vma, task: FrozenTask): MessageInitShape<typeof vma_entrySchema>;
}

/* --------------------------------------------------------------------- restore */

/**
 * The stages of building, in order. In each stage the programs of all tasks run at the same time, and no
 * task begins a stage before all have ended the one before. In `seed` only the seed process runs, before
 * the tree exists: every task inherits what is made there.
 */
export const STAGES = [
  /** In the seed: what all tasks inherit (shared memory). */
  "seed",
  /** Open file descriptions are created, each in its home task. */
  "open",
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
  /** Seccomp filters that all threads of a task have: the leader gives them to all. Needs privilege still. */
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
  /** The planner that restores a mapping. @throws {StasisError} if none does, or two do */
  mappingPlanner(vma: vma_entry, mm: mm_entry): MappingPlanner;
}

/** Facts of this machine that a plan depends on; read in the load phase. */
export interface Machine {
  /** The kernel's release, as uname(2) gives it. */
  readonly release: string;
  /** The mappings of the vDSO and its data in a fresh process, lowest first, relative to the first. */
  readonly vdso: readonly VdsoPart[];
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
  /** Prepares a thread that has just been born, before calls are injected into it (other than its birth's). */
  bornThread?(thread: ArmContext): void;
  /** Sets the very last state of a thread by ptrace. Nothing is injected any more after it. */
  armThread?(thread: ArmContext): void;
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
  /** The program of the seed. */
  readonly seed: SyscallProgram;
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
  /** A descriptor of this process, handed to the seed. @returns its service number */
  serviceDescriptor(descriptor: number): number;
}

/** Plans a task. */
export interface TaskPlanner {
  readonly pid: number;
  readonly entry: pstree_entry;
  /** The core image of the leader. */
  readonly core: MessageShape<typeof core_entrySchema>;
  /** The program of its leader for a stage; add calls to it. */
  program(stage: Stage): SyscallProgram;
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
  /** Adds calls that create it, and returns the descriptor; the core moves it to its place and closes that one. */
  plan(context: DescriptorPlan): Argument;
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
  readonly pid: number;
  readonly tid: number;
  readonly tracee: Tracee;
  readonly core: MessageShape<typeof core_entrySchema>;
}
