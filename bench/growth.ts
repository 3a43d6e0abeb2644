/**
 * How time and memory grow: each kind of thing at a size and at a tenth of it.
 *
 * @module
 */

import { readLimits } from "../core/linux/procfs/mod.ts";
import { type Appetite, fit, type Limits } from "./growth_sizes.ts";
import { type Growth, growthOf, MOST_MEMORY, problemsOf } from "./growth_verdict.ts";
import { measureRound, type Round } from "./round.ts";
import type { Tool } from "./tools.ts";
import { startMany } from "./workloads.ts";

/** A kind of thing that a tree can have much of (`tests/subjects/many.c`). */
export interface Kind extends Appetite {
  readonly name: string;
  readonly title: string;
  /** How many the tool must be able to take. */
  readonly full: number;
  /** How many are tried where it must be quick. */
  readonly few: number;
}

const KIB = 2 ** 10;
/** How many times the smaller size the larger one is. */
const FACTOR = 10;
/** The descriptors that a tree has at the most. */
const DESCRIPTORS = 60_000;

/** A kind of descriptor, of which each thing takes one or two. */
function descriptors(name: string, title: string, each: 1 | 2 = 1): Kind {
  const full = DESCRIPTORS / each;
  return { name, title, full, few: 500, descriptors: each, memory: each * 8 * KIB };
}

/** All kinds, in the order of the table. */
export const KINDS: readonly Kind[] = [
  { name: "threads", title: "threads", full: 10_000, few: 50, tasks: 1, memory: 60 * KIB },
  {
    name: "processes",
    title: "processes",
    full: 3000,
    few: 20,
    tasks: 1,
    memory: 1024 * KIB,
    isProcess: true,
  },
  { name: "mappings", title: "mappings", full: 100_000, few: 1000, mappings: 1, memory: 12 * KIB },
  {
    name: "file_mappings",
    title: "mappings of a file",
    full: 100_000,
    few: 1000,
    mappings: 1,
    memory: 4 * KIB,
  },
  descriptors("files", "regular files"),
  // Of these one process has all, those of the others too, while the tree is built, and numbers more for each.
  { ...descriptors("ghosts", "deleted files"), descriptors: 3, isOne: true },
  { ...descriptors("memfds", "memfds"), descriptors: 2, isOne: true },
  descriptors("pipes", "pipes", 2),
  descriptors("fifos", "fifos"),
  descriptors("streams", "stream socket pairs", 2),
  descriptors("datagrams", "datagram socket pairs", 2),
  { ...descriptors("listeners", "listening sockets"), descriptors: 2, isOne: true },
  descriptors("eventfds", "eventfds"),
  descriptors("timerfds", "timerfds"),
  descriptors("signalfds", "signalfds"),
  descriptors("epolls", "epolls, each with an eventfd", 2),
  {
    name: "entries",
    title: "entries of one epoll",
    full: 10_000,
    few: 300,
    descriptors: 1,
    memory: KIB,
    isOne: true,
  },
  {
    name: "closed_entries",
    title: "the same, their numbers closed",
    full: 10_000,
    few: 300,
    descriptors: 1,
    memory: KIB,
    isOne: true,
  },
  {
    name: "reserved",
    title: "MiB that are reserved",
    full: 65_540,
    few: 65_540,
    memory: 0,
    isOne: true,
    reserves: true,
  },
];

/** What became of a kind. */
export interface GrowthResult {
  readonly kind: Kind;
  /** The size that was measured; 0 where the machine can have none. */
  readonly size: number;
  readonly processes: number;
  /** Why it is less than the full one; absent where it is not. */
  readonly reason?: string;
  readonly growths: readonly Growth[];
  /** What is wrong, a sentence each. */
  readonly problems: readonly string[];
}

/** The limits of this machine. */
export function machineLimits(): Limits {
  const own = readLimits(Deno.pid);
  const hard = (name: string) => Number(own.find((limit) => limit.name === name)?.hard ?? Infinity);
  const setting = (path: string) => Number(Deno.readTextFileSync(`/proc/sys/${path}`));
  const available = /^MemAvailable: +(\d+) kB/m.exec(Deno.readTextFileSync("/proc/meminfo"))!;
  const tasks = Number(Deno.readTextFileSync("/proc/loadavg").split(/[ /]/)[4]);
  return {
    descriptors: Math.min(hard("RLIMIT_NOFILE"), setting("fs/file-max")),
    mappings: setting("vm/max_map_count"),
    tasks: Math.min(
      setting("kernel/pid_max"),
      setting("kernel/threads-max"),
      hard("RLIMIT_NPROC"),
    ) - tasks,
    memory: Number(available[1]) * KIB,
    overcommit: setting("vm/overcommit_memory") !== 2,
  };
}

/** What a run is to do. */
export interface GrowthOptions {
  readonly tool: Tool;
  /** How often something is measured again that seems to be too slow, before it counts. */
  readonly attempts: number;
  /** Whether to take only a few of each. */
  readonly few: boolean;
  /** A directory for images and the programs' files. */
  readonly home: string;
  /** Is told what is being measured. */
  progress(text: string): void;
}

/** Measures kinds. An empty program, which is the fixed part of all of them, is measured once. */
export class GrowthBench {
  readonly #options: GrowthOptions;
  readonly #empty: Round[] = [];

  constructor(options: GrowthOptions) {
    this.#options = options;
  }

  /** Measures one: what the tool cannot do, or a tree that is not what it was, is a problem of the kind. */
  async measure(kind: Kind): Promise<GrowthResult> {
    const wanted = this.#options.few ? kind.few : kind.full;
    const { size, processes, reason } = fit(wanted, kind, machineLimits());
    const result = { kind, size, processes, reason, growths: [], problems: [] };
    if (size < FACTOR) return { ...result, size: 0 };
    try {
      return { ...result, ...await this.#measure(kind, size, processes) };
    } catch (error) {
      return { ...result, problems: [`${size} ${kind.title}: ${(error as Error).message}`] };
    }
  }

  async #measure(
    kind: Kind,
    size: number,
    processes: number,
  ): Promise<Pick<GrowthResult, "growths" | "problems">> {
    const tenth = Math.floor(size / FACTOR);
    if (this.#empty.length === 0) await this.#round(this.#empty, "files", 0, 1);
    const rounds = { tenth: [] as Round[], whole: [] as Round[] };
    for (let attempt = 1;; attempt++) {
      await this.#round(rounds.tenth, kind.name, tenth, kind.isProcess ? tenth : processes);
      await this.#round(rounds.whole, kind.name, size, processes);
      const growths = growthOf(this.#empty, rounds.tenth, rounds.whole, size / tenth);
      // Of a few of each it is V8 that decides what garbage it keeps, and the more so on a busy machine.
      const mostMemory = this.#options.few ? 2 * MOST_MEMORY : MOST_MEMORY;
      const problems = problemsOf(`${size} ${kind.title}`, growths, mostMemory);
      if (problems.length === 0 || attempt >= this.#options.attempts) return { growths, problems };
    }
  }

  async #round(rounds: Round[], kind: string, size: number, processes: number): Promise<void> {
    const { home, tool, progress } = this.#options;
    progress(`${size} ${kind}`);
    const cwd = `${home}/files`;
    await Deno.mkdir(cwd);
    try {
      await using subject = await startMany(kind, size, processes, cwd);
      rounds.push(await measureRound(tool, subject, home));
    } finally {
      await Deno.remove(cwd, { recursive: true });
    }
  }
}
