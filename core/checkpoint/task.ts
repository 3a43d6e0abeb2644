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
  parseFdLink,
  readDescriptors,
  readSmaps,
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
  ) {
    this.#link = link;
    this.#stats = stats;
  }

  /** What `/proc/PID/fd/N` points to. A path longer than the kernel tells is looked for when first asked for. */
  get link(): FdLink {
    if (this.#link.kind !== "long-path") return this.#link;
    const text = readLongLink(`/proc/${this.pid}/fd/${this.fd}`);
    if (text !== undefined) return this.#link = parseFdLink(text);
    // It may be gone.
    return this.identity && this.#link;
  }

  /** What stat(2) says of the file behind it; read when first asked for. */
  get identity(): FdIdentity {
    this.#identity ??= this.#stats?.of(this.fd) ?? statFd(this.pid, this.fd);
    if (this.#identity === undefined) {
      throw new StasisError("no-such-task", `descriptor ${this.fd} of task ${this.pid} is gone`, {
        pid: this.pid,
      });
    }
    return this.#identity;
  }

  /** The type bits of its mode (`S_IFMT`). */
  get fileType(): number {
    return this.identity.mode & 0o170000;
  }
}

/** What is to be done about a task whose first thread has ended while others run. */
export const LEADERLESS_HINT =
  "such a process cannot be saved: try again when those have ended, too";

/** A task (thread group), as `/proc` shows it. */
export class Task {
  /** The thread group id, as this process sees it. */
  readonly pid: number;
  #stat?: TaskStat;
  #status?: TaskStatus;
  #threads?: readonly number[];
  #vmas?: readonly Vma[];
  #descriptors?: readonly Descriptor[];

  constructor(pid: number) {
    this.pid = pid;
  }

  /** `/proc/PID/stat`. */
  get stat(): TaskStat {
    return this.#stat ??= readStat(this.pid);
  }

  /** `/proc/PID/status` of the leader. */
  get status(): TaskStatus {
    return this.#status ??= readStatus(this.pid);
  }

  /**
   * What its working directory, its root directory and its executable are called; those that it has. Undefined where
   * the kernel does not tell, because a path is too long; nothing of any file is looked at to find it.
   */
  get links(): readonly string[] | undefined {
    try {
      return ["cwd", "root", "exe"].flatMap((name) => readTaskLink(this.pid, name) ?? []);
    } catch (error) {
      if (errnoOf(error) === "ENAMETOOLONG") return undefined;
      throw error;
    }
  }

  /** The tids of all threads, the leader first, then ascending. */
  get threads(): readonly number[] {
    if (this.#threads === undefined) {
      const tids = readTasks(this.pid);
      this.#threads = [this.pid, ...tids.filter((tid) => tid !== this.pid)];
    }
    return this.#threads;
  }

  /** Whether it has ended and waits for its parent to reap it; or {@link isLeaderless}. */
  get isZombie(): boolean {
    return this.stat.state === "Z";
  }

  /**
   * Whether its first thread has ended while others run. It is so for a moment, too, when one of those executes
   * a program (`de_thread()` of `fs/exec.c`); if the kernel tells of no thread at all, it has just done so.
   */
  get isLeaderless(): boolean {
    return this.isZombie && this.stat.threads !== 1;
  }

  /** The mappings with their flags, ascending. */
  get vmas(): readonly Vma[] {
    return this.#vmas ??= readSmaps(this.pid);
  }

  /** The open descriptors, ascending. */
  get descriptors(): readonly Descriptor[] {
    if (this.#descriptors === undefined) {
      const all = readDescriptors(this.pid);
      // Of those with a path it is mostly asked.
      const files = all.filter(({ link }) => link.kind === "path").map(({ fd }) => fd);
      const stats = new DescriptorStats(this.pid, files);
      this.#descriptors = all.map(({ fd, link, info }) =>
        new Descriptor(this.pid, fd, link, info, stats)
      );
    }
    return this.#descriptors;
  }
}
