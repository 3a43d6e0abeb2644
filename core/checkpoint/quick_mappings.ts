/**
 * The mappings of large tasks, read quickly while they stand still: what `/proc/PID/smaps` tells, for which the kernel
 * walks all page tables (25 ms for each gigabyte of small pages), without it. What it said while the tree ran tells what
 * the flags mean ({@link KnownFlags}).
 *
 * @module
 */
import {
  type MappingReader,
  type MappingWords,
  openMappingReader,
} from "../linux/mapping_words.ts";
import { KnownFlags, readMaps, unlessGone, type Vma } from "../linux/procfs/mod.ts";
import type { Task } from "./task.ts";

/** From how many resident pages on it is worth asking the kernel where it keeps the flags: 256 MiB. */
const LARGE = 1n << 16n;

/** What is known of a large task. */
interface Known {
  /** The words before its mappings were read. */
  readonly before: readonly MappingWords[];
  /** Its mappings as they were read while it ran. */
  earlier: ReadonlyMap<bigint, Vma>;
}

/** Reads the mappings of large tasks. */
export class QuickMappings implements Disposable {
  readonly #reader: MappingReader | undefined;
  readonly #known = new KnownFlags();
  readonly #tasks = new Map<number, Known>();

  /**
   * Begins to learn what the flags of large tasks mean, before their mappings are read.
   *
   * @param least from how many resident pages on a task is large
   */
  constructor(tasks: readonly Task[], least: bigint = LARGE) {
    const large = tasks.filter((task) => unlessGone(() => task.liveStat.rss >= least, false));
    this.#reader = large.length === 0 ? undefined : openMappingReader();
    for (const { pid, liveTid } of large) {
      const before = this.#reader?.read(liveTid);
      if (before !== undefined) this.#tasks.set(pid, { before, earlier: new Map() });
    }
  }

  /** Whether the mappings of a task are probably read without smaps. */
  has(pid: number): boolean {
    return this.#tasks.has(pid);
  }

  /** Learns from the mappings of tasks that run, which have just been read. */
  learn(tasks: readonly Task[]): void {
    for (const task of tasks) {
      const known = this.#tasks.get(task.pid);
      if (known === undefined) continue;
      const vmas = unlessGone(() => task.vmas, []);
      this.#known.learn(known.before, vmas, this.#reader?.read(task.liveTid) ?? []);
      known.earlier = new Map(vmas.map((vma) => [vma.start, vma]));
    }
  }

  /** Learns what the mappings of a task that stands still are when they have got a flag. @param give has them get it */
  learnFlag(flag: string, { pid, liveTid }: Task, give: () => void): void {
    const read = () => this.has(pid) ? this.#reader?.read(liveTid) : undefined;
    const before = read();
    give();
    const after = before && read();
    if (before && after) this.#known.learnFlag(flag, before, after);
  }

  /** The mappings of a task that stands still; undefined where they have to be read as those of any other one. */
  read({ pid, liveTid }: Task): readonly Vma[] | undefined {
    const known = this.#tasks.get(pid);
    const words = known && this.#reader?.read(liveTid);
    return words && this.#known.vmas(readMaps(liveTid), words, known.earlier);
  }

  [Symbol.dispose](): void {
    this.#reader?.[Symbol.dispose]();
    this.#tasks.clear();
  }
}
