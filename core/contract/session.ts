/**
 * The plugin contract: what both directions give to their plugins.
 *
 * @module
 */

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
  /**
   * To be called in loops that can be long and cannot await, such as those of hooks which return nothing.
   *
   * @throws {StasisError} `cancelled` where the user cancelled; `timeout` where the tree stands still for too long
   */
  check(): void;
  /**
   * To be awaited between the steps of long work: lets timers, signals and other events have their turn, where
   * the last one is long enough ago.
   *
   * @throws {StasisError} as {@link check}
   */
  breathe(): Promise<void>;
}

/** Whether a restored tree gets a time namespace. */
export type TimeNamespaceMode = "auto" | "always" | "never";

/** Options that plugins look at. */
export interface OperationOptions {
  /** Descriptors outside the tree: at restore, the resource's name (`pipe:[123]`, `tty:/dev/pts/1`) to a descriptor of this process. */
  readonly inheritFds?: Readonly<Record<string, number>>;
  /** Names of resources that are not to be saved but provided at restore. */
  readonly external?: readonly string[];
  /**
   * At a checkpoint: names of pipes and sockets that are held outside of the tree, too, and that are cut off from there:
   * a reader sees the end, a writer gets EPIPE.
   */
  readonly deadEnds?: readonly string[];
  /** At a checkpoint: the same of all that are not standard streams. */
  readonly allDeadEnds?: boolean;
  /** By what a changed file is told, at restore; at a checkpoint what is saved for that. `buildid` if absent. */
  readonly fileValidation?: FileValidation;
  /** At restore: files that have changed since the checkpoint are no problem; as `fileValidation: "none"`. */
  readonly ignoreFileChange?: boolean;
  /**
   * At a checkpoint: how files that are open for writing are is saved. At restore: what was appended to them since is
   * cut off, for the tree writes it again; one that was written elsewhere is a problem.
   */
  readonly rollbackFiles?: boolean;
  /** At restore: paths of images to paths of this machine, each with all that lies below it. */
  readonly remap?: Readonly<Record<string, string>>;
  /** At a checkpoint: deleted files of at most so many bytes are saved with the images; 1 MiB if absent. */
  readonly ghostLimit?: bigint;
  /**
   * At a checkpoint: a deleted file that has other names which are not known gets one beside the name that it had,
   * `link_remap.N-R`, which a restore takes away.
   */
  readonly linkRemap?: boolean;
  /**
   * At a checkpoint: for how long the tree may stand still before its memory is written, in milliseconds; 10,000 if
   * absent, and 0 for no limit.
   */
  readonly timeout?: number;
  /** What becomes of control groups; where absent `none`, but that a checkpoint saves their settings all the same. */
  readonly manageCgroups?: ManageCgroups;
  /**
   * Groups of this machine: at restore, in place of the topmost ones of the images; at a checkpoint, those from which
   * on they are saved.
   */
  readonly cgroupRoots?: readonly CgroupRoot[];
  /**
   * At a checkpoint: TCP connections whose other end is outside of the tree are saved. Their packets are held back until
   * the restore, where the tree is to end.
   */
  readonly tcpEstablished?: boolean;
  /** TCP connections come back closed in both directions. */
  readonly tcpClose?: boolean;
  /** At a checkpoint: connections that wait to be accepted are left out. */
  readonly skipInFlight?: boolean;
  /**
   * At a checkpoint: unix sockets that are connected to a socket with a name outside of the tree are saved. The restore
   * connects them to whoever has the name by then.
   */
  readonly externalUnixSockets?: boolean;
  /** Let the tree run on after the checkpoint; also where it is left stopped. */
  readonly leaveRunning?: boolean;
  /**
   * At a checkpoint of a tree that runs on: large memory is written when it runs again, from a copy-on-write image of
   * that moment. The command line has it so unless it is told otherwise (`--no-snapshot`).
   */
  readonly snapshot?: boolean;
  /**
   * At a checkpoint with {@link snapshot}: how much memory may be there for that alone, in bytes: copies of what the
   * tree writes to meanwhile. Behind that it stands still until all is written. Half of what is free if absent, and of what
   * the control groups of the tasks leave them.
   */
  readonly snapshotLimit?: bigint;
  /**
   * At a checkpoint: how much memory of small tasks is copied into this process while they stand still, and written
   * later, in bytes; 48 MiB if absent.
   */
  readonly copyLimit?: bigint;
  /**
   * At a checkpoint with a parent: what has changed is found by comparing all memory with the parent's images, whatever
   * tracking there is, and none is begun.
   */
  readonly compare?: boolean;
  /**
   * At a checkpoint with {@link snapshot}: from how much memory in small pages on that of a task is copied while it runs,
   * in bytes; 128 MiB if absent.
   */
  readonly copyAheadFrom?: bigint;
  /** Leave the tree stopped, as by SIGSTOP, after the checkpoint or the restore. */
  readonly leaveStopped?: boolean;
  /**
   * At restore: whether the tree gets a time namespace, in which CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from where
   * they were. `auto`, which is meant if absent: where they would be behind that.
   */
  readonly timeNamespace?: TimeNamespaceMode;
  /** At restore: the tree keeps its ids in a pid namespace of its own, whatever is taken here. */
  readonly newPidNamespace?: boolean;
  /** At restore: this process, the parent of the restored root, ends before the tree does. */
  readonly detached?: boolean;
}

/** What is compared of a file. */
export type FileValidation =
  /**
   * Its size; and of what is executed the build id, or where there is none the time of its last change. Where a
   * checkpoint was asked for `mtime`, the times of all.
   */
  | "buildid"
  /** Its size alone. */
  | "size"
  /** Its size and the time of its last change. */
  | "mtime"
  /** Nothing. */
  | "none";

/** What becomes of control groups at restore, in CRIU's words. */
export type ManageCgroups =
  /** Tasks get into groups that are there, as they are. */
  | "none"
  /** Groups that are there get their settings back. */
  | "props"
  /** Groups that are not there are made, with their settings. */
  | "soft"
  /** Groups that are not there are made, and all get their settings. */
  | "full"
  /** All groups are made, and none may be there. */
  | "strict"
  /** Tasks stay in the tool's groups. At a checkpoint: groups are not saved. */
  | "ignore";

/** A group that takes the place of others. */
export interface CgroupRoot {
  /** A controller, `name=NAME`, or nothing for cgroup v2; absent where it is meant for every hierarchy. */
  readonly controller?: string;
  /** From the root of the tool's namespace of control groups. */
  readonly path: string;
}
