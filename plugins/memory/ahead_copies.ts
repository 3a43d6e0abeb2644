/**
 * Copying memory before the freeze: of tasks with much memory in small pages, whose page tables fork(2) would take too
 * long to copy for a shadow (`core/remote/shadow.ts`): 30 ms and more for each gigabyte, and 1 ms of huge pages.
 *
 * 1. The task makes a userfaultfd, for which it stands still for a moment, and its memory is watched from then on.
 * 2. The tree stands still once more for a moment: no call goes on that may fill memory past that (`WriteWatch`).
 * 3. While it runs, all is copied; and what has been written to meanwhile once or twice more, if that is much.
 * 4. At the freeze, what is the same still is left where it is, and the rest is saved as everything else is.
 *
 * Left out are tasks whose memory a device may fill without the kernel's page tables (pinned memory, requests of
 * io_submit(2)); and those that have come from each other by fork(2): what they have in common is written once, and
 * process_vm_readv(2) would give each a page of its own.
 *
 * @module
 */
import { cutRanges } from "../../core/checkpoint/ranges.ts";
import type { Task } from "../../core/checkpoint/task.ts";
import { isTrackable, isWriteProtected } from "../../core/checkpoint/trackable.ts";
import { remoteAddress } from "../../core/linux/address.ts";
import { OpenPagemap } from "../../core/linux/open_pagemap.ts";
import { PROT_READ, sizeOfSmallPages, unlessGone, type Vma } from "../../core/linux/procfs/mod.ts";
import type { CheckpointSession, CopyAhead, FrozenTask } from "../../core/plugin.ts";
import { AheadCopy } from "./ahead_copy.ts";
import { isRing } from "./aio_ring.ts";
import { ancestry } from "./ancestry.ts";
import type { Run } from "./runs.ts";

/** From how much memory in small pages on a task is copied, in bytes. */
const LEAST = 128n << 20n;
/** Of these, mappings with this part of that, or more. */
const PART = 512;
/** What is written to meanwhile is copied once more if it is more than this, in bytes, and less than half of all. */
const MUCH = 16n << 20n;
/** How often at the most. */
const ROUNDS = 2;

/** What is left of a task in its copy. */
export interface LeftInCopy {
  readonly copy: AheadCopy;
  /** Ascending. */
  readonly runs: readonly Run[];
}

/** The copies of one checkpoint. */
export class AheadCopies {
  readonly #session: CheckpointSession;
  readonly #copies = new Map<number, AheadCopy>();
  #left: readonly LeftInCopy[] = [];

  constructor(session: CheckpointSession) {
    this.#session = session;
  }

  /** How many pages files of the inner parent there are of these, numbered from 1 on. */
  get count(): number {
    return this.#copies.size;
  }

  /** Makes them, while the tree runs. */
  async make(ahead: CopyAhead): Promise<void> {
    const least = this.#session.options.copyAheadFrom ?? LEAST;
    for (const { task, vmas } of chosen(ahead.tasks, least)) {
      const watch = ahead.watch(task, vmas);
      if (watch === undefined) continue;
      const pagesId = this.#copies.size + 1;
      const copy = unlessGone(
        () => new AheadCopy(this.#session, task, watch, pagesId),
        undefined,
      );
      if (copy !== undefined) this.#copies.set(task.pid, ahead.undo.use(copy));
    }
    if (this.#copies.size === 0) return;
    if (!ahead.settleCalls()) return this.#giveUp();
    const copies = [...this.#copies.values()];
    const total = copies.reduce((sum, { size }) => sum + size, 0n);
    let done = 0n;
    for (const copy of copies) {
      await copy.copyAll((bytes) => this.#session.progress("memory", done += bytes, total));
    }
    for (const copy of copies) {
      for (let round = 0; round < ROUNDS; round++) {
        const { stale } = copy;
        if (stale <= MUCH || 2n * stale > copy.size) break;
        await copy.copyAgain(() => ahead.settleCalls());
      }
    }
  }

  /**
   * What of the tasks, which stand still, is left in their copies. What is of no use is taken away.
   *
   * @param tasks those that own their memory
   * @param runsOf what of a task holds something, ascending
   */
  leftOf(
    tasks: readonly FrozenTask[],
    runsOf: (task: FrozenTask) => readonly Run[],
  ): ReadonlyMap<FrozenTask, LeftInCopy> {
    const left = new Map<FrozenTask, LeftInCopy>();
    if (this.#copies.size === 0) return left;
    const families = Map.groupBy(tasks, ({ proc }) => ancestry(proc));
    for (const task of tasks) {
      const copy = this.#copies.get(task.pid);
      if (copy === undefined || families.get(ancestry(task.proc))?.length !== 1) continue;
      if (isFilledByDevices(task.proc)) continue;
      const runs = cutRuns(runsOf(task), copy.same(task.proc.vmas));
      const size = runs.reduce((sum, { size }) => sum + size, 0n);
      if (size > 0n && 2n * size >= copy.size) left.set(task, { copy, runs });
    }
    this.#left = [...left.values()];
    return left;
  }

  /** Makes room of what the copies have and is not used, and begins to give back what they took: the tree runs again. */
  beginGivingBack(): void {
    for (const copy of this.#copies.values()) copy.beginGivingBack();
    const used = new Map(this.#left.map(({ copy, runs }) => [copy, runs]));
    for (const copy of this.#copies.values()) {
      const runs = used.get(copy);
      if (runs === undefined) copy.discard();
      else copy.punch(runs);
    }
  }

  #giveUp(): void {
    for (const copy of this.#copies.values()) {
      copy.beginGivingBack();
      copy.discard();
    }
    this.#copies.clear();
  }
}

/** A task that is worth it, and its mappings that are. */
interface Chosen {
  readonly task: Task;
  /** Ascending. */
  readonly vmas: readonly Vma[];
}

/** @param least how much in small pages a task has to have, in bytes */
function chosen(tasks: readonly Task[], least: bigint): Chosen[] {
  const families = Map.groupBy(tasks, (task) => unlessGone(() => ancestry(task), ""));
  return [...families.values()].flatMap(([task, ...others]) =>
    task === undefined || others.length > 0 ? [] : unlessGone(() => worthIt(task, least), [])
  );
}

/** Whether memory of a task may be filled without its page tables: it is pinned, or io_submit(2) may be under way. */
function isFilledByDevices({ vmas, status: { memory } }: Task): boolean {
  return (memory?.pinned ?? 0) > 0 || vmas.some(isRing);
}

function worthIt(task: Task, least: bigint): Chosen[] {
  if (isFilledByDevices(task)) return [];
  const { vmas } = task;
  const own = vmas.filter((vma) =>
    isTrackable(vma) && !isWriteProtected(vma) && (vma.prot & PROT_READ) !== 0 &&
    vma.anonymous > Number(least) / PART
  );
  const size = own.reduce((sum, { anonymous }) => sum + anonymous, 0);
  if (own.length === 0 || BigInt(size) < least) return [];
  using pagemap = new OpenPagemap(task.liveTid);
  const small = own.reduce((sum, vma) => sum + (sizeOfSmallPages(pagemap, vma) ?? 0n), 0n);
  return small < least ? [] : [{ task, vmas: own }];
}

function cutRuns(runs: readonly Run[], ranges: Parameters<typeof cutRanges>[1]): Run[] {
  const own = runs.map(({ start, size }) => ({
    start: remoteAddress(start),
    end: remoteAddress(start + size),
  }));
  return cutRanges(own, ranges).map(({ start, end }) => ({ start, size: end - start }));
}
