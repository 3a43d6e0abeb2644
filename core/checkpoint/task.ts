/**
 * A task as `/proc` shows it at one moment: every part is read when it is first asked for, and then kept.
 * The survey looks at running tasks through it; after the freeze a new one is made, whose parts do not
 * change any more.
 *
 * @module
 */
import {
  DescriptorStats,
  errnoOf,
  type FdIdentity,
  type FdInfo,
  type FdLink,
  type Mapping,
  parseFdLink,
  readDescriptors,
  readFdInfo,
  readFdLink,
  readMaps,
  readSmaps,
  readSocketProtocol,
  readStat,
  readStatus,
  readTaskLink,
  readTasks,
  statFd,
  type TaskStat,
  type TaskStatus,
  type Vma,
} from "../linux/procfs/mod.ts";
import { StasisError } from "../../base/errors.ts";
import { readLongLink } from "../linux/long_link.ts";

/** One open descriptor of a task. */
export class Descriptor {
  #identity: FdIdentity | undefined;
  #link: FdLink;
  #protocol: string | undefined;
  readonly #stats: DescriptorStats | undefined;

  constructor(
    /** The task that has it. */
    readonly pid: number,
    /** Its number. */
    readonly fd: number,
    link: FdLink,
    /** What `/proc/PID/fdinfo/N` says. */
    readonly info: FdInfo,
    stats?: DescriptorStats,
    /** The id by which it is found: {@link Task.liveTid}. */
    readonly liveTid: number = pid,
  ) {
    this.#link = link;
    this.#stats = stats;
  }

  /** What `/proc/PID/fd/N` points to. A path longer than the kernel tells is looked for when first asked for. */
  get link(): FdLink {
    if (this.#link.kind !== "long-path") return this.#link;
    const text = readLongLink(`/proc/${this.liveTid}/fd/${this.fd}`);
    if (text !== undefined) return this.#link = parseFdLink(text);
    // It may be gone.
    return this.identity && this.#link;
  }

  /** What stat(2) says of the file behind it; read when first asked for. */
  get identity(): FdIdentity {
    this.#identity ??= this.#stats?.of(this.fd) ?? statFd(this.liveTid, this.fd);
    if (this.#identity === undefined) {
      throw new StasisError("no-such-task", `descriptor ${this.fd} of task ${this.pid} is gone`, {
        pid: this.pid,
      });
    }
    return this.#identity;
  }

  /** Which protocol a socket speaks; undefined of what is none, or is closed. Read when first asked for. */
  get socketProtocol(): string | undefined {
    if (this.link.kind !== "socket") return undefined;
    return this.#protocol ??= readSocketProtocol(this.liveTid, this.fd);
  }

  /** The type bits of its mode (`S_IFMT`). */
  get fileType(): number {
    return this.identity.mode & 0o170000;
  }

  /** Whether it is no task's, but lies in the queue of a socket. */
  get isInFlight(): boolean {
    return false;
  }

  /** The task that may not run on before what was changed through it is undone. */
  get carrier(): number {
    return this.pid;
  }
}

/**
 * A descriptor that lies in the queue of a socket (SCM_RIGHTS of unix(7)), by a duplicate that another process keeps
 * (`in_flight_keeper.ts`): `pid` and `fd` are those of that.
 */
export class InFlightDescriptor extends Descriptor {
  readonly #carrier: number;

  /**
   * @param carrier the task in the queue of whose socket it lies, or in that of a socket that does
   * @throws {StasisError} `no-such-task` if the process is gone
   */
  constructor(pid: number, fd: number, carrier: number) {
    const link = readFdLink(pid, fd);
    const info = readFdInfo(pid, fd);
    if (link === undefined || info === undefined) {
      throw new StasisError("no-such-task", `what kept a descriptor in flight is gone (${pid})`, {
        hint: "something ends processes here: see who, and try again",
      });
    }
    super(pid, fd, link, info);
    this.#carrier = carrier;
  }

  override get carrier(): number {
    return this.#carrier;
  }

  override get isInFlight(): boolean {
    return true;
  }
}

/** From how many resident pages on flags and sizes of mappings are read only where they are wanted: 64 MiB. */
const MANY_PAGES = 1n << 14n;

/** A task (thread group), as `/proc` shows it. */
export class Task {
  /** The thread group id, as this process sees it. */
  readonly pid: number;
  #stat?: TaskStat;
  #liveStat?: TaskStat;
  #status?: TaskStatus;
  #threads?: readonly number[];
  #liveTid?: number;
  #mappings?: readonly Mapping[];
  #vmas?: readonly Vma[];
  #readQuickly?: (task: Task) => readonly Vma[] | undefined;
  #descriptors?: readonly Descriptor[];

  /** @param threads its threads, the leader first, then ascending, if they are known already */
  constructor(pid: number, threads?: readonly number[]) {
    this.pid = pid;
    this.#threads = threads;
  }

  /** `/proc/PID/stat`: of the whole task, and of its first thread even if that has ended. */
  get stat(): TaskStat {
    return this.#stat ??= readStat(this.pid);
  }

  /** The same by {@link liveTid}, which tells of its memory. */
  get liveStat(): TaskStat {
    return this.#liveStat ??= this.isLeaderless ? readStat(this.liveTid) : this.stat;
  }

  /** `/proc/PID/status`, of the thread {@link liveTid}. */
  get status(): TaskStatus {
    return this.#status ??= readStatus(this.liveTid);
  }

  /**
   * The id by which `/proc`, kcmp(2) and pidfd_open(2) with PIDFD_THREAD lead to what the task has: its own, unless
   * {@link isLeaderless}. A thread that has ended has given up its memory, descriptors, directories and namespaces
   * (`do_exit()` of `kernel/exit.c`), and each other one has a directory in `/proc`, too, that is not listed.
   *
   * Where no other is left, it has executed a program, and its own leads there again; or it is gone.
   */
  get liveTid(): number {
    return this.#liveTid ??= (this.isLeaderless ? this.threads[0] : undefined) ?? this.pid;
  }

  /**
   * What its working directory, its root directory and its executable are called; those that it has. Undefined where
   * the kernel does not tell, because a path is too long; nothing of any file is looked at to find it.
   */
  get links(): readonly string[] | undefined {
    try {
      return ["cwd", "root", "exe"].flatMap((name) => readTaskLink(this.liveTid, name) ?? []);
    } catch (error) {
      if (errnoOf(error) === "ENAMETOOLONG") return undefined;
      throw error;
    }
  }

  /** The tids of all threads, the leader first unless it has ended, then ascending. */
  get threads(): readonly number[] {
    if (this.#threads === undefined) {
      const others = readTasks(this.pid).filter((tid) => tid !== this.pid);
      this.#threads = this.isLeaderless ? others : [this.pid, ...others];
    }
    return this.#threads;
  }

  /** Whether it has ended with all its threads, and waits for its parent to reap it. */
  get isZombie(): boolean {
    return this.stat.state === "Z" && this.stat.threads === 1;
  }

  /**
   * Whether its first thread has ended while others run. It is so for a moment, too, when one of those executes
   * a program (`de_thread()` of `fs/exec.c`); if the kernel tells of no thread at all, it has just done so.
   */
  get isLeaderless(): boolean {
    return this.stat.state === "Z" && !this.isZombie;
  }

  /**
   * The mappings, ascending, as far as `maps` tells of them: to tell the rest the kernel walks all page tables, which
   * takes 20 ms for each gigabyte of small pages.
   */
  get mappings(): readonly Mapping[] {
    const isCheap = this.#vmas !== undefined || this.#readQuickly !== undefined;
    if (isCheap || this.liveStat.rss < MANY_PAGES) return this.vmas;
    return this.#mappings ??= readMaps(this.liveTid);
  }

  /** The mappings with their flags and sizes, ascending. */
  get vmas(): readonly Vma[] {
    return this.#vmas ??= this.#readQuickly?.(this) ?? readSmaps(this.liveTid);
  }

  /** Has the mappings read in another way, where that can be. */
  readMappingsBy(read: (task: Task) => readonly Vma[] | undefined): void {
    this.#readQuickly = read;
  }

  /**
   * Lets go of `status` and of the descriptors, the most of what a task keeps that is needed no more when its images are
   * written. Who asks all the same has them read again.
   */
  forgetWritten(): void {
    this.#status = undefined;
    this.#descriptors = undefined;
  }

  /** Adds descriptors that lie in the queues of its sockets, or of sockets that do. */
  carry(inFlight: readonly Descriptor[]): void {
    this.#descriptors = [...this.descriptors, ...inFlight];
  }

  /** The open descriptors, ascending; behind them those that were found in flight ({@link carry}). */
  get descriptors(): readonly Descriptor[] {
    if (this.#descriptors === undefined) {
      const { liveTid } = this;
      const all = readDescriptors(liveTid);
      // Of those with a path it is mostly asked.
      const files = all.filter(({ link }) => link.kind === "path").map(({ fd }) => fd);
      const stats = new DescriptorStats(liveTid, files);
      this.#descriptors = all.map(({ fd, link, info }) =>
        new Descriptor(this.pid, fd, link, info, stats, liveTid)
      );
    }
    return this.#descriptors;
  }
}
