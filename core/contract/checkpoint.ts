/**
 * The plugin contract: the hooks of a checkpoint, and what they work on. When each is called stands in
 * `plugin.ts`.
 *
 * @module
 */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { fd_types, file_entrySchema } from "../../images/gen/descriptors_pb.ts";
import type { fown_entrySchema } from "../../images/gen/file_owner_pb.ts";
import type { vma_entrySchema } from "../../images/gen/memory_pb.ts";
import type { thread_info_x86Schema } from "../../images/gen/registers_x86_pb.ts";
import type {
  core_entry_march,
  task_core_entrySchema,
  thread_core_entrySchema,
} from "../../images/gen/thread_pb.ts";
import type { ImageDirectory, ImageWriter } from "../../images/mod.ts";
import type { Descriptor, Task } from "../checkpoint/task.ts";
import type { WriteWatch } from "../checkpoint/write_watch.ts";
import type { Problem } from "../../base/errors.ts";
import type { OwnedDescriptor } from "../linux/pidfd.ts";
import type { AddressRange, Vma } from "../linux/procfs/mod.ts";
import type { Siginfo } from "../linux/siginfo.ts";
import type { SyscallProgram } from "../remote/program.ts";
import type { ProgramReply } from "../remote/program_reply.ts";
import type { RemoteTask } from "../remote/remote_task.ts";
import type { Range } from "../remote/shadow.ts";
import type { Tracee } from "../remote/tracee.ts";
import type { Rescuer } from "../remote/undo.ts";
import type { Session } from "./session.ts";

type Awaitable<T> = T | Promise<T>;

/** One checkpoint. */
export interface CheckpointSession extends Session {
  /**
   * Where the images go. Messages are encoded when the tree has been saved: what was handed over must not change any
   * more. What has many bytes behind it is written at once.
   */
  readonly writer: ImageWriter;
  /** The open file descriptions and paths of the images (`files.img`). */
  readonly files: FileTable;
  /** What plugins put into the inventory, which is written last. */
  readonly inventory: InventoryDraft;
  /**
   * The checkpoint of the same tree before this one, to which what has not changed may be left; absent where all is to
   * be written.
   */
  readonly parent?: CheckpointParent;
  /** Tells what has changed since {@link parent}, where somebody holds that between the checkpoints. */
  readonly tracking?: TrackedMemory;
  /** Says that the images need this plugin: its name goes into the inventory. */
  requirePlugin(): void;
  /**
   * Reports something that cannot be saved and that shows only while the tree stands still. When everything has been
   * dumped the checkpoint is refused for all of these at once, and the tree runs on; a survey should have found it, if
   * it can be seen by then.
   */
  problem(problem: Omit<Problem, "plugin">): void;
  /**
   * Holds memory still of a tree that runs on: what is written of it later ({@link CheckpointHooks.pagesLater}) is as it
   * was. Absent where the tree stands still until all is written.
   */
  readonly shadows?: Shadowing;
  /** The dumper that claims a mapping. @throws {StasisError} if none does, or two do */
  mappingDumper(vma: Vma, task: Task): MappingDumper;
}

/** The checkpoint before. */
export interface CheckpointParent {
  readonly images: ImageDirectory;
  /** What tells it from others: for `ImageWriter.linkParent()`. */
  readonly sum: number;
}

/** What tells the changes of a tree's memory (`core/checkpoint/memory_tracking.ts`). */
export interface TrackedMemory {
  /**
   * Finds out what of a task has been written to, and begins to look anew; once for each task in each checkpoint.
   *
   * @param goesOn whether it is let run on; otherwise nothing is begun
   * @returns why it is not tracked, if it could be and is not
   */
  look(task: FrozenTask, goesOn: boolean): string | undefined;
  /** What of a task is as it was in the checkpoint that a sum tells ({@link CheckpointParent}); ascending. */
  unwritten(pid: number, since: number): readonly AddressRange[];
}

/** What memory is copied with while its tree runs ({@link CheckpointHooks.copyAhead}). */
export interface CopyAhead {
  /** The tasks that live, as they were surveyed. */
  readonly tasks: readonly Task[];
  /** Gets what is to be given back, in the end. */
  readonly undo: AsyncDisposableStack;
  /**
   * Has a task stand still for a moment, so that what it writes to can be told.
   *
   * @param mappings of which it is to be told, as they were surveyed; those are that are the same still
   * @returns undefined where that cannot be, which is told as a detail
   */
  watch(task: Task, mappings: readonly Vma[]): WriteWatch | undefined;
  /**
   * Has the tree stand still for a moment: no system call goes on after this that a task of it had begun before.
   *
   * @returns false where that cannot be, which is told as a detail
   */
  settleCalls(): boolean;
}

/** A task that is to have a shadow. */
export interface Shadowed {
  /** It owns its memory. */
  readonly task: FrozenTask;
  /** What of its memory the shadow is not to have. */
  readonly left: readonly Range[];
}

/** Holds memory of tasks still while they run on (`core/remote/shadow.ts`). */
export interface Shadowing {
  /**
   * Makes shadows.
   *
   * @returns what runs calls in them; of a task that can have none there is none, and the user has been told why
   */
  make(
    tree: FrozenTree,
    shadowed: readonly Shadowed[],
  ): ReadonlyMap<FrozenTask, RemoteTask>;
  /**
   * Looks, while shadows are written, how much memory there is for them alone by now: copies of what the tree has
   * written to. Where it is more than it may be, the tree stands still from then on. To be called as often as may be:
   * most calls do nothing.
   *
   * @throws {StasisError} `no-such-task` where the tree cannot be found any more to stand still
   */
  look(): void;
}

/** What the images have in common and plugins find. */
export interface InventoryDraft {
  /** The set of control groups that this tool is in, as `cgroup.img` numbers it. */
  rootCgSet?: number;
}

/** Files below `/proc/PID`, by how many bytes they have at the most, nearly always; and links. */
export type FilesRead = Readonly<Record<string, number | "link">>;

/** A plugin's part of one checkpoint. Every hook is optional. */
export interface CheckpointHooks {
  /**
   * Files of `/proc` that the hooks read of each process, or of each thread but the first of its process, while it
   * stands still, and once. Another thread of this tool begins to read them as soon as the tree has stopped, and who
   * reads one by its path (`readTaskText()`, `readTaskLink()`) has it at once. What says something else to another
   * reader, or later, is not to be among them.
   */
  readonly reads?: { readonly ofTasks?: FilesRead; readonly ofThreads?: FilesRead };
  /**
   * Looks into what descriptors of a task lead to, for others that lie there in queues (SCM_RIGHTS), once the tree stands
   * still and before it is surveyed then. Is called again for what was found. That is saved like descriptors of the
   * task, but stands in no table of descriptors.
   *
   * @param rescuer is told how a change is undone, before it is made
   * @returns nothing twice for the same queue
   */
  findInFlight?(
    descriptors: readonly Descriptor[],
    rescuer: Pick<Rescuer, "noteOutside">,
  ): readonly FoundInFlight[];
  /** Looks for what cannot be saved and reports it. Must not disturb the target. */
  survey?(tree: SurveyContext): Awaitable<void>;
  /**
   * Copies memory of a tree that is to run on, before it stands still: what is written to meanwhile is found out then.
   * Is called where that is asked for ({@link CheckpointSession.shadows}), and where nothing else tells of changes.
   */
  copyAhead?(ahead: CopyAhead): Awaitable<void>;
  /**
   * Is called last before the tree is stopped: what passes by itself, and could not be saved, may be waited for, and new
   * of its kind be kept away. What it does must end with this process.
   */
  quiesce?(context: QuiesceContext): Awaitable<void>;
  /**
   * Is told of a thread the moment that it has stopped, while others of its process still run: for what must be
   * mended in it whatever happens next, as it may be let go, or the tool die, at any time from then on.
   */
  stopThread?(tracee: Tracee): void;
  /**
   * Looks at all threads as they were stopped, before they are sent to where they wait ({@link Tracee.park}): a plugin
   * that has to let one go on for a moment does so here. If the tool dies meanwhile, it runs on as it is.
   */
  examineThreads?(threads: readonly StoppedThread[], undo: DisposableStack): void;
  /**
   * Makes all threads safe to inject calls into. What it changes by ptrace or in memory it notes first
   * ({@link Tracee.noteUndo}), so that it is undone even if the tool dies; the rest it puts on the undo stack.
   */
  freezeThreads?(threads: readonly StoppedThread[], undo: DisposableStack): void;
  /**
   * That `freezeThreads` suspends the seccomp filters of threads, and that this plugin saves them. Where none does,
   * the survey refuses what is under filters: one may kill for a call that is injected.
   */
  readonly suspendsFilters?: boolean;
  /**
   * Tells whether `freezeThreads` may find that calls in a task's first thread can be made only as long as it is traced
   * ({@link Tracee.needsTracer}).
   */
  mayNeedTracer?(task: Task): boolean;
  /**
   * Holds what goes on by itself while the tree stands still, in the kernel: connections. Nothing stands against the
   * checkpoint any more, and nothing has been dumped. What it changes it notes first, and puts on the undo stack.
   */
  hold?(context: HoldContext): void;
  /** Adds calls to the program that the leader of each task runs. */
  collectTask?(task: FrozenTask, program: SyscallProgram): Collected | void;
  /** Adds calls to the program of every thread (leaders too), the same for each: once for the whole checkpoint. */
  collectThreads?(program: SyscallProgram): CollectedOfEach | void;
  /** Adds calls to the program of one thread that others do not make. */
  collectThread?(thread: FrozenThread, program: SyscallProgram): Collected | void;
  /** Writes what a task has. Not called for zombies. */
  dumpTask?(task: FrozenTask): Awaitable<void>;
  /** Writes what the tree has, after all tasks. */
  dumpTree?(tree: FrozenTree): Awaitable<void>;
  /** Writes memory contents. */
  pages?(tree: FrozenTree): Awaitable<void>;
  /** Writes what {@link CheckpointSession.shadows} hold, when the tree runs again. */
  pagesLater?(): Awaitable<void>;
  /**
   * Notes in the core images what has come from outside while all else was being saved, at the last moment. No
   * calls can be made in the tasks any more, and it has to be quick: whatever comes later is not in the images.
   */
  dumpLast?(tree: FrozenTree): void;
  /**
   * Finds out what is only told of, and takes long to find out. A tree that runs on has been let go by then; one that
   * is to end stands still, and is ended after that. The core reads the images back meanwhile.
   */
  conclude?(tree: SavedTree): Awaitable<void>;
  /**
   * Makes ready for the end of a tree whose images are there, just before it is killed. It cannot be let run on any
   * more, so nothing may fail, and what does is only told; should the tool die, the guardian does what was noted for that ({@link Rescuer.noteEnd}).
   */
  end?(tree: FrozenTree): void;
  /** The kinds of open file description that this plugin saves. */
  readonly descriptors?: readonly DescriptorDumper[];
  /** The kinds of mapping that this plugin saves. */
  readonly mappings?: readonly MappingDumper[];
}

/** A descriptor that lies in a queue. */
export interface FoundInFlight {
  /** A duplicate here, which the core closes. */
  readonly duplicate: OwnedDescriptor;
  /** Is told by which descriptor it is known from now on. */
  kept(descriptor: Descriptor): void;
}

/** What a hold hook works on. */
export interface HoldContext {
  readonly tree: FrozenTree;
  /** Is told how a change is undone, before it is made. */
  readonly rescuer: Pick<Rescuer, "noteOutside" | "noteEnd">;
  /** Gets the same, to be done in the end, also of a tree that was ended. */
  readonly undo: DisposableStack;
}

/** What a plugin works with before the tree is stopped. */
export interface QuiesceContext {
  /** Gets what is to be undone when the tree runs again, or has ended. Nothing of it may outlive this process. */
  readonly undo: DisposableStack;
  /**
   * Waits until something has passed, for two seconds at the most.
   *
   * @param look says whether it has, by how many milliseconds one has waited
   * @returns whether it has
   * @throws {StasisError} `cancelled`
   */
  settle(look: (elapsed: number) => boolean): Promise<boolean>;
}

/** Takes the results of the calls that a collect hook added. */
export type Collected = (reply: ProgramReply) => void;

/** Takes the results of the calls that every thread makes, of one thread after the other. */
export type CollectedOfEach = (thread: FrozenThread, reply: ProgramReply) => void;

/** What a survey sees. */
export interface SurveyContext {
  /** All tasks of the tree, parents before children, zombies included. */
  readonly tasks: readonly Task[];
  /** The root of the tree. */
  readonly root: Task;
  /** Whether the tasks stand still by now. */
  readonly frozen: boolean;
  /** Of tasks that stand still: is told how a change is undone, before it is made. */
  readonly rescuer?: Pick<Rescuer, "noteOutside">;
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
  /** What belongs to the whole task; of its {@link FrozenTask.leader} alone. */
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
  /**
   * The thread that is asked for what the whole task has: the first one, or, where that has ended while others live
   * ({@link Task.isLeaderless}), another.
   */
  readonly leader: FrozenThread;
  /** All threads that live, the leader first. */
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

/**
 * What stays known of a tree that stood still, when it may run again: what `/proc` said then. Of more than a thousand
 * tasks `status` and `descriptors` are read again, and tell what is now.
 */
export interface SavedTree {
  /** The tasks that lived, parents before children. */
  readonly tasks: readonly Task[];
  /** Those that had ended and were not reaped. */
  readonly zombies: readonly Task[];
}

/** What a dumper writes about an open file description: everything but the id, which the core gives. */
export type FileImage =
  & Omit<MessageInitShape<typeof file_entrySchema>, "id" | "$typeName" | "type">
  & {
    type: fd_types;
  };

/** What tells the contents of a file from others. */
export interface FileContents {
  /** As `files.img` has it. */
  readonly buildId?: readonly number[];
  /** When it was last modified, in nanoseconds since 1970. */
  readonly mtime?: bigint;
}

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
   * @param behind of a deleted file: a path below /proc that leads to it (`core/checkpoint/file_location.ts`)
   * @param contents by what other contents of the same size are told
   * @returns the id
   */
  path(
    path: string,
    flags: number,
    size?: bigint,
    mode?: number,
    behind?: string,
    contents?: FileContents,
  ): number;
  /**
   * Says that the file of an entry was deleted, and saves it with its contents; or, of a file of `/proc`, that it is of
   * a task that is gone, whose id is saved.
   *
   * @param id the id of a regular file entry, whose name is the path that the file had
   * @param behind a path below /proc that leads to it (`core/checkpoint/file_location.ts`)
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
