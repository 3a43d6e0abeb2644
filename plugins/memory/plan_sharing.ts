/**
 * Memory that several tasks have in common, copy-on-write: private pages come to be shared by fork(2) alone. So a task
 * from which all of them descend has it at its place before it bears them, and they inherit it; what each of them has
 * of its own is written over it. Pure.
 *
 * What is in common is told by the images: pages at the same address that are at the same place in the same pages file.
 *
 * @module
 */
import { MADV, MAP, PROT } from "../../core/linux/mman.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import { VMA_ANON_PRIVATE } from "../../images/flags.ts";
import { openFlags } from "./planners.ts";
import type { Run } from "./runs.ts";
import { totalSize } from "./runs.ts";
import { cutRun, type SavedRun, uncovered } from "./saved_pages.ts";

/** What the protection of common memory is until each task gives it its own. */
export const COMMON_PROT = PROT.READ | PROT.WRITE;

/** A task whose memory may be shared. */
export interface SharingTask {
  readonly pid: number;
  /** Its private mappings that can be made by another task, ascending. */
  readonly vmas: readonly vma_entry[];
  /** All its pages, ascending. */
  readonly runs: readonly SavedRun[];
}

/** Memory that one task makes and others inherit. */
export interface CommonMemory {
  readonly start: bigint;
  readonly end: bigint;
  /** One of the mappings that it becomes. */
  readonly vma: vma_entry;
  /** Its pages, all in one file, ascending. */
  readonly runs: readonly SavedRun[];
  /** The tasks that have it in the end. */
  readonly users: ReadonlySet<number>;
}

/** What a task does about common memory before it bears a child: makes it, or has the child inherit it or not. */
export interface BirthStep {
  readonly kind: "make" | "hide" | "show";
  readonly memory: CommonMemory;
}

/** What a task has inherited, or made for its children, when its own memory is built. */
export interface Inheritance {
  /** Which of its mappings are there already: by their start what they are a part of. */
  readonly vmas: ReadonlyMap<bigint, CommonMemory>;
  /** Common memory that the children which it bears from then on would not inherit. */
  readonly hidden: ReadonlySet<CommonMemory>;
  /** The pages that are to be read still. */
  readonly runs: readonly SavedRun[];
  /** Pages that are there and that it does not have. */
  readonly stale: readonly Run[];
}

/** How a tree comes to share what it has in common. */
export interface SharingPlan {
  /** What is done before each child is born, by whoever bears it. */
  readonly births: ReadonlyMap<number, readonly BirthStep[]>;
  /** What one of the tasks inherits; undefined if it has nothing in common with others. */
  inheritanceOf(task: SharingTask): Inheritance | undefined;
}

/**
 * Plans it.
 *
 * @param tasks all that have memory of their own: one at a time, since of thousands it is much
 * @param files the pages files in which several tasks have pages
 * @param root the task from which all others come
 * @param offspring whom a task, or one that only helps to build the tree, bears, in this order
 * @param check throws where the operation is cancelled
 */
export function planSharing(
  tasks: Iterable<SharingTask>,
  files: ReadonlySet<string>,
  root: number,
  offspring: (pid: number) => readonly number[],
  check: () => void,
): SharingPlan {
  const { common: candidates, pids } = findCommon(tasks, files);
  if (candidates.length === 0) return { births: new Map(), inheritanceOf: () => undefined };
  const family = new FamilyTree(root, offspring, pids);
  const carried = new Map<number, CommonMemory[]>();
  const makers = new Map<CommonMemory, number>();
  const carriersOf = new Map<CommonMemory, ReadonlySet<number>>();
  const neighbours = new Map<CommonMemory, readonly CommonMemory[]>();
  for (const group of overlapping(candidates, (memory) => memory)) {
    for (const memory of group) neighbours.set(memory, group);
  }
  for (const memory of candidates) {
    check();
    const maker = family.ancestorOf(memory.users);
    if (maker === undefined) continue;
    const carriers = family.between(maker, memory.users);
    // Two of one place cannot be in one task: the larger one has come first.
    const collides = neighbours.get(memory)?.some((other) =>
      other.start < memory.end && memory.start < other.end &&
      carriersOf.get(other)?.isDisjointFrom(carriers) === false
    );
    if (collides) continue;
    makers.set(memory, maker);
    carriersOf.set(memory, carriers);
    for (const pid of carriers) {
      const others = carried.get(pid);
      if (others === undefined) carried.set(pid, [memory]);
      else others.push(memory);
    }
  }
  for (const memories of carried.values()) memories.sort(byStart);
  const { births, hidden } = planSteps(carried, makers, offspring);
  return {
    births,
    inheritanceOf(task) {
      const own = carried.get(task.pid)?.filter(({ users }) => users.has(task.pid)) ?? [];
      if (own.length === 0) return undefined;
      return inherit(task, own, hidden.get(task.pid) ?? new Set());
    },
  };
}

/** A mapping of a task with those of its pages that are in one file. */
interface Use {
  readonly pid: number;
  readonly vma: vma_entry;
  readonly runs: readonly SavedRun[];
}

/** What several tasks have in common, the largest first; and the tasks. */
function findCommon(
  tasks: Iterable<SharingTask>,
  files: ReadonlySet<string>,
): { readonly common: CommonMemory[]; readonly pids: ReadonlySet<number> } {
  const pids = new Set<number>();
  const uses: Use[] = [];
  const seen = new Map<string, Use>();
  for (const task of tasks) {
    pids.add(task.pid);
    if (files.size > 0) uses.push(...usesOf(task, files).map((use) => likeAnother(use, seen)));
  }
  const common: CommonMemory[] = [];
  for (
    const alike of Map.groupBy(uses, ({ vma, runs }) => `${kindOf(vma)} ${runs[0]?.pages}`).values()
  ) {
    for (const group of overlapping(alike, ({ vma }) => vma)) {
      const users = new Set(group.map(({ pid }) => pid));
      if (users.size < 2) continue;
      const [{ vma }] = group as [Use];
      const end = group.reduce((most, use) => use.vma.end > most ? use.vma.end : most, 0n);
      common.push({ start: vma.start, end, vma, runs: union(group), users });
    }
  }
  const sizes = new Map(common.map((memory) => [memory, totalSize(memory.runs)]));
  common.sort((a, b) => Number((sizes.get(b) as bigint) - (sizes.get(a) as bigint)));
  return { common, pids };
}

/** A use with the mapping and the pages of another task's, where these are the same: nearly all have the same. */
function likeAnother(use: Use, seen: Map<string, Use>): Use {
  const { pid, vma, runs } = use;
  const key = `${kindOf(vma)} ${vma.start} ${vma.end}`;
  const other = seen.get(key);
  if (other === undefined) seen.set(key, use);
  return other !== undefined && areSame(other.runs, runs) ? { ...other, pid } : use;
}

/** Finds the pages files in which several tasks have pages. */
export class SharedFiles {
  readonly #seen = new Set<string>();
  readonly #shared = new Set<string>();

  /** Takes note of all pages of one more task. */
  add(runs: readonly SavedRun[]): void {
    const own = new Set<string>();
    let last: string | undefined;
    for (const { pages } of runs) if (pages !== last) own.add(last = pages);
    for (const pages of own) (this.#seen.has(pages) ? this.#shared : this.#seen).add(pages);
  }

  /** Those in which several of the tasks so far have pages. */
  get all(): ReadonlySet<string> {
    return this.#shared;
  }
}

/** The mappings of a task with pages in those files. Of more than one file the first counts. */
function usesOf({ pid, vmas, runs }: SharingTask, files: ReadonlySet<string>): Use[] {
  const uses: Use[] = [];
  let next = 0;
  for (const vma of vmas) {
    const inside: SavedRun[] = [];
    for (let run = runs[next]; run !== undefined && run.start < vma.end; run = runs[++next]) {
      const from = run.start > vma.start ? run.start : vma.start;
      const to = run.start + run.size < vma.end ? run.start + run.size : vma.end;
      const isOf = files.has(run.pages) && run.pages === (inside[0]?.pages ?? run.pages);
      if (isOf && from < to) inside.push(cutRun(run, from, to));
      if (run.start + run.size > vma.end) break;
    }
    if (inside.length > 0) uses.push({ pid, vma, runs: inside });
  }
  return uses;
}

/** What has to be the same in mappings for one to become the other by mprotect(2), munmap(2) and madvise(2). */
function kindOf(vma: vma_entry): string {
  const advice = (vma.madv ?? 0n) & (1n << BigInt(MADV.HUGEPAGE) | 1n << BigInt(MADV.NOHUGEPAGE));
  const flags = vma.flags & ~(MAP.LOCKED | MAP.FIXED);
  if ((vma.status & VMA_ANON_PRIVATE) !== 0) return `anonymous ${flags} ${advice}`;
  return `file ${vma.shmid} ${openFlags(vma)} ${vma.pgoff - vma.start} ${flags} ${advice}`;
}

/** Addresses up to before `end`. */
interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

/** Groups what overlaps, directly or by way of others. Each group is ascending. */
function overlapping<Item>(items: readonly Item[], rangeOf: (item: Item) => Range): Item[][] {
  const sorted = [...items].sort((a, b) => byStart(rangeOf(a), rangeOf(b)));
  const groups: Item[][] = [];
  let reached = 0n;
  for (const item of sorted) {
    const { start, end } = rangeOf(item);
    const last = groups.at(-1);
    if (last !== undefined && start < reached) last.push(item);
    else groups.push([item]);
    if (end > reached) reached = end;
  }
  return groups;
}

/** The pages of all, ascending; where two differ, those of either. */
function union(uses: readonly Use[]): SavedRun[] {
  const [{ runs: first }] = uses as [Use];
  // Nearly all have the same.
  const others = uses.filter(({ runs }) => !areSame(runs, first)).map(({ runs }) => runs);
  const all = [first, ...others].flat().sort(byStart);
  const runs: SavedRun[] = [];
  let end = 0n;
  for (const run of all) {
    const from = run.start > end ? run.start : end;
    const to = run.start + run.size;
    if (from >= to) continue;
    const piece = cutRun(run, from, to);
    const last = runs.at(-1);
    const joins = last !== undefined && last.start + last.size === from && isSame(last, piece);
    if (joins) runs[runs.length - 1] = { ...last, size: to - last.start };
    else runs.push(piece);
    end = to;
  }
  return runs;
}

/** Whether two lists are of the same runs, at the same places. */
function areSame(a: readonly SavedRun[], b: readonly SavedRun[]): boolean {
  return a.length === b.length && a.every((run, at) => {
    const other = b[at] as SavedRun;
    return run.start === other.start && run.size === other.size && isSame(run, other);
  });
}

/** Whether two runs, where they are at one address, have one place. */
function isSame(a: SavedRun, b: SavedRun): boolean {
  return a.pages === b.pages && a.offset - a.start === b.offset - b.start;
}

/** Who bears whom. */
class FamilyTree {
  readonly #bearers = new Map<number, number>();
  readonly #living: ReadonlySet<number>;

  /** @param living those that can make memory: helpers and zombies cannot */
  constructor(
    root: number,
    offspring: (pid: number) => readonly number[],
    living: ReadonlySet<number>,
  ) {
    this.#living = living;
    const all = [root];
    for (const pid of all) {
      for (const child of offspring(pid)) {
        this.#bearers.set(child, pid);
        all.push(child);
      }
    }
  }

  /** The nearest task that can make memory and that all of these descend from, or are. */
  ancestorOf(pids: ReadonlySet<number>): number | undefined {
    let common: number[] | undefined;
    for (const pid of pids) {
      const line = new Set(this.#line(pid));
      common = common?.filter((one) => line.has(one)) ?? [...line];
    }
    return common?.find((pid) => this.#living.has(pid));
  }

  /** All tasks by which these come from an ancestor, with it and them. */
  between(ancestor: number, pids: ReadonlySet<number>): Set<number> {
    const all = new Set([ancestor]);
    for (const pid of pids) {
      for (const one of this.#line(pid)) {
        if (all.has(one)) break;
        all.add(one);
      }
    }
    return all;
  }

  /** A task, who bears it, and so on up to the root. */
  *#line(pid: number): Generator<number> {
    for (let at: number | undefined = pid; at !== undefined; at = this.#bearers.get(at)) yield at;
  }
}

/** From this size on common memory is kept from children that do not need it: fork(2) copies its page tables. */
const LARGE = 4n << 20n;

/** Plans when what is made, and who inherits it. */
function planSteps(
  carried: ReadonlyMap<number, readonly CommonMemory[]>,
  makers: ReadonlyMap<CommonMemory, number>,
  offspring: (pid: number) => readonly number[],
): {
  readonly births: ReadonlyMap<number, readonly BirthStep[]>;
  readonly hidden: ReadonlyMap<number, ReadonlySet<CommonMemory>>;
} {
  const births = new Map<number, BirthStep[]>();
  const hidden = new Map<number, Set<CommonMemory>>();
  for (const [pid, memories] of carried) {
    const hiding = new Set<CommonMemory>();
    const made = new Set(memories.filter((memory) => makers.get(memory) !== pid));
    for (const child of offspring(pid)) {
      const needed = new Set(carried.get(child));
      const steps: BirthStep[] = [];
      for (const memory of memories) {
        const isNeeded = needed.has(memory);
        if (!made.has(memory)) {
          if (!isNeeded) continue;
          steps.push({ kind: "make", memory });
          made.add(memory);
        } else if (isNeeded && hiding.delete(memory)) steps.push({ kind: "show", memory });
        else if (!isNeeded && !hiding.has(memory) && totalSize(memory.runs) >= LARGE) {
          steps.push({ kind: "hide", memory });
          hiding.add(memory);
        }
      }
      if (steps.length > 0) births.set(child, steps);
    }
    hidden.set(pid, hiding);
  }
  return { births, hidden };
}

function byStart(a: Pick<Range, "start">, b: Pick<Range, "start">): number {
  return a.start < b.start ? -1 : a.start > b.start ? 1 : 0;
}

/**
 * What a task has when its own memory is built, and what is to be done about it.
 *
 * @param memories ascending
 */
function inherit(
  task: SharingTask,
  memories: readonly CommonMemory[],
  hidden: ReadonlySet<CommonMemory>,
): Inheritance {
  const vmas = new Map<bigint, CommonMemory>();
  const there: SavedRun[] = [];
  const runs = memories.flatMap((memory) => memory.runs);
  let nextMemory = 0, nextRun = 0;
  for (const vma of task.vmas) {
    while ((memories[nextMemory]?.end ?? vma.end) <= vma.start) nextMemory++;
    const memory = memories[nextMemory];
    if (memory === undefined) break;
    if (vma.start < memory.start || vma.end > memory.end) continue;
    if (kindOf(vma) !== kindOf(memory.vma)) continue;
    vmas.set(vma.start, memory);
    for (; nextRun < runs.length; nextRun++) {
      const run = runs[nextRun] as SavedRun;
      const from = run.start > vma.start ? run.start : vma.start;
      const to = run.start + run.size < vma.end ? run.start + run.size : vma.end;
      if (from < to) there.push(cutRun(run, from, to));
      if (run.start + run.size > vma.end) break;
    }
  }
  return {
    vmas,
    hidden,
    runs: uncovered(task.runs, there, isSame),
    stale: uncovered(there, task.runs, () => true),
  };
}
