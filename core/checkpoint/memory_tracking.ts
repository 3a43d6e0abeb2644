/**
 * Which memory of a tree has changed since a checkpoint of it: what somebody holds who makes one checkpoint after the
 * other. Each task with much memory gets a userfaultfd (`core/linux/userfaultfd.ts`) that is held here alone, so that
 * the kernel takes everything back when this process ends, however it does. Where the kernel has no such protection, its
 * soft-dirty bits tell (`soft_dirty.ts`).
 *
 * Nothing is believed that is not certain. A mapping counts only if it has been registered, and is the same, since the
 * checkpoint that the next one names as its parent: what was mapped since, moved (mremap(2) takes it out), inherited by
 * fork(2) or made by execve(2) is not registered, and counts as changed. So does what other mappings change, and
 * whatever has changed while a checkpoint failed.
 *
 * Only anonymous memory counts (`trackable.ts`).
 *
 * @module
 */
import { type AddressRange, scanWritten, type Vma } from "../linux/procfs/mod.ts";
import { OpenPagemap } from "../linux/open_pagemap.ts";
import { hasWriteTracking, type WriteTracker } from "../linux/userfaultfd.ts";
import { Remembered } from "../../images/remembered.ts";
import type { FrozenTask, TrackedMemory } from "../contract/checkpoint.ts";
import { takeWriteTracker } from "../remote/take_userfaultfd.ts";
import { isKnown, SoftDirty } from "./soft_dirty.ts";
import { beginTracking } from "./begin_tracking.ts";
import { cutRanges, joinRanges, withoutRanges } from "./ranges.ts";
import { isAnonymous, isWorthIt, isWriteProtected } from "./trackable.ts";

/** A task whose memory is tracked. */
interface Tracked {
  readonly tracker: WriteTracker | SoftDirty;
  /** What was registered and protected in the checkpoint that counts, and still is; ascending. */
  trusted: readonly AddressRange[];
  /** What of it has been written to since; ascending. */
  written: readonly AddressRange[];
  /** What will be trusted if the checkpoint under way succeeds. */
  next: readonly AddressRange[] | undefined;
}

/** Holds what tells the changes of one tree between its checkpoints; `using` gives all of it back. */
export class MemoryTracking implements TrackedMemory, Disposable {
  /** What the checkpoints have made of their parents. */
  readonly remembered: Remembered = new Remembered();
  readonly #tasks = new Map<number, Tracked>();
  /** Tells the checkpoint that changes are known since: `stateSum()` of `images/layers.ts`. */
  #since: number | undefined;

  /**
   * Finds out what of a task has been written to, and begins to look anew.
   *
   * @param goesOn whether it is let run on; otherwise nothing is begun
   * @returns why it is not tracked, if it could be and is not
   */
  look(task: FrozenTask, goesOn: boolean): string | undefined {
    const eligible = task.proc.vmas.filter(isWorthIt);
    const known = this.#known(task, eligible);
    if (known === undefined && (!goesOn || eligible.length === 0)) return undefined;
    const tracked = known ?? this.#begin(task);
    if (typeof tracked === "string") return tracked;
    const { tracker } = tracked;
    if (tracker instanceof SoftDirty) return lookByBits(tracked, tracker, task, eligible, goesOn);
    using access = new OpenPagemap(task.proc.liveTid);
    const same = task.proc.vmas.filter((vma) =>
      isAnonymous(vma) && isWriteProtected(vma) && tracker.register(vma)
    );
    const trusted: AddressRange[] = [];
    const written: AddressRange[] = [];
    for (const range of cutRanges(tracked.trusted, same)) {
      const found = scanWritten(access, range, goesOn ? "protect" : "look");
      if (found === undefined) continue;
      trusted.push(range);
      for (const one of found) written.push(one);
    }
    tracked.trusted = trusted;
    tracked.written = joinRanges(tracked.written, written);
    const next = [...trusted];
    for (const vma of goesOn ? eligible : []) {
      for (const range of withoutRanges(vma, trusted)) {
        if (beginTracking(tracker, access, range)) next.push(range);
      }
    }
    tracked.next = joinRanges(next, []);
    return undefined;
  }

  /** The tracked task, if it has the memory still that it had. */
  #known(task: FrozenTask, eligible: readonly Vma[]): Tracked | undefined {
    const tracked = this.#tasks.get(task.pid);
    if (tracked === undefined) return undefined;
    const { tracker } = tracked;
    const [some] = eligible;
    // Another process with its id, or another program of it: nothing can be registered there any more.
    const isSame = tracker instanceof SoftDirty
      ? tracker.isOf(task)
      : some === undefined || tracker.register(some);
    if (isSame) return tracked;
    tracker[Symbol.dispose]();
    this.#tasks.delete(task.pid);
    return undefined;
  }

  #begin(task: FrozenTask): Tracked | string {
    const tracker = hasWriteTracking() ? takeWriteTracker(task.remote) : SoftDirty.open(task);
    if (typeof tracker === "string") return tracker;
    const tracked: Tracked = { tracker, trusted: [], written: [], next: undefined };
    this.#tasks.set(task.pid, tracked);
    return tracked;
  }

  /**
   * What of a task is as it was in a checkpoint, as far as is known; ascending.
   *
   * @param since tells the checkpoint
   */
  unwritten(pid: number, since: number): readonly AddressRange[] {
    const tracked = this.#tasks.get(pid);
    if (tracked === undefined || since !== this.#since) return [];
    return tracked.trusted.flatMap((range) => withoutRanges(range, tracked.written));
  }

  /** Says that the checkpoint in which all were looked at has succeeded. @param sum tells it */
  succeeded(sum: number | undefined): void {
    this.#since = sum;
    for (const [pid, tracked] of this.#tasks) {
      if (tracked.next === undefined) {
        // It has ended.
        tracked.tracker[Symbol.dispose]();
        this.#tasks.delete(pid);
        continue;
      }
      tracked.trusted = tracked.next;
      tracked.written = [];
      tracked.next = undefined;
    }
  }

  /** Says that it has failed: what has been written to is kept in mind. */
  failed(): void {
    for (const tracked of this.#tasks.values()) tracked.next = undefined;
  }

  [Symbol.dispose](): void {
    for (const { tracker } of this.#tasks.values()) tracker[Symbol.dispose]();
    this.#tasks.clear();
    this.#since = undefined;
  }
}

/** {@link MemoryTracking.look} where the kernel has soft-dirty bits alone. */
function lookByBits(
  tracked: Tracked,
  tracker: SoftDirty,
  task: FrozenTask,
  eligible: readonly Vma[],
  goesOn: boolean,
): string | undefined {
  const known = task.proc.vmas.filter((vma) => isAnonymous(vma) && isKnown(vma));
  const trusted = cutRanges(tracked.trusted, known);
  const written = tracker.written(task, trusted);
  const isLost = written === undefined && tracked.trusted.length > 0;
  tracked.trusted = written === undefined ? [] : trusted;
  tracked.written = joinRanges(tracked.written, written ?? []);
  tracked.next = tracked.trusted;
  if (!goesOn) return undefined;
  const isMarked = tracker.begin(task);
  tracked.next = isMarked ? joinRanges(tracked.trusted, eligible) : [];
  if (isLost) return `somebody has cleared the soft-dirty bits of task ${task.pid}`;
  return isMarked
    ? undefined
    : `no page of task ${task.pid} can tell whether somebody clears its soft-dirty bits`;
}
