/**
 * Saving a job again and again, until it ends or is to be stopped.
 *
 * @module
 */
import { StasisError } from "../base/errors.ts";
import { asStasisError } from "../base/thrown.ts";
import { readStat, unlessGone } from "../core/linux/procfs/mod.ts";
import { MemoryTracking, mergeParents } from "../mod.ts";
import { chainLength, longestChain } from "./chain.ts";
import type { JobListener } from "./events.ts";
import type { Requests } from "./requests.ts";
import { type JobTree, type SaveResult, type SaveSettings, saveTree } from "./save.ts";
import { type Attempt, nextSave } from "./schedule.ts";
import type { Store } from "./store.ts";

/** How a job is kept. */
export interface KeepSettings extends SaveSettings {
  /** How often it is saved, in milliseconds. */
  readonly every: number;
  /** How many checkpoints are kept, at least. */
  readonly keep: number;
  /** How long the last save may take, in milliseconds. */
  readonly grace: number;
  readonly tell: JobListener;
}

/** A job that is being saved. */
export class Keeper implements Disposable {
  readonly #store: Store;
  readonly #tree: JobTree;
  readonly #settings: KeepSettings;
  /** What was written to since the last checkpoint; not of a job inside of a namespace, which others save. */
  readonly #tracking = new MemoryTracking();
  #isSaving = false;

  constructor(store: Store, tree: JobTree, settings: KeepSettings) {
    this.#store = store;
    this.#tree = tree;
    this.#settings = settings;
  }

  /** Whether the job is being saved: whoever asks for its stops must not take those of the checkpoint. */
  get isSaving(): boolean {
    return this.#isSaving;
  }

  /**
   * Saves the job, and deletes what is not needed any more then.
   *
   * @throws {StasisError} where it is not saved: it runs on as it was
   */
  async save(leaveRunning: boolean, signal: AbortSignal): Promise<void> {
    const { tell } = this.#settings;
    const { next, latest } = this.#store.list();
    this.#isSaving = true;
    const saving = saveTree({
      tree: this.#tree,
      directory: this.#store.directoryOf(next),
      parent: latest === undefined ? undefined : this.#store.directoryOf(latest),
      tracking: this.#tracking,
      leaveRunning,
      signal,
      shared: (start) => this.#store.shared(start),
    }, this.#settings);
    let result: SaveResult;
    try {
      result = await saving;
    } catch (error) {
      // A script of the user that came after it may have failed.
      if (!this.#store.isWhole(next)) throw error;
      const failure = asStasisError(error);
      if (failure.code !== "cancelled") tell({ event: "failed", error: failure });
      await this.#orTell(() => this.#store.adopt(next));
      tell({ event: "adopted", checkpoint: next, ended: !leaveRunning });
      return await this.#orTell(() => this.#retain(next, leaveRunning, signal));
    } finally {
      this.#isSaving = false;
    }
    const { bytes, frozenMs, totalMs, tasks, threads } = result;
    const made = { at: new Date().toISOString(), bytes, frozenMs, totalMs, tasks, threads };
    // The checkpoint is whole: if this fails, whoever opens the store next has the link follow.
    await this.#orTell(() => this.#store.add(next, made));
    tell({ event: "saved", checkpoint: next, bytes, frozenMs, totalMs, ended: !leaveRunning });
    await this.#orTell(() => this.#retain(next, leaveRunning, signal));
  }

  /** Ends the tracking. */
  [Symbol.dispose](): void {
    this.#tracking[Symbol.dispose]();
  }

  /**
   * Deletes what is not needed any more, and bounds the chain.
   *
   * @param runsOn otherwise somebody may wait for its end, and not for long: the chain waits until it is saved again
   */
  async #retain(latest: number, runsOn: boolean, signal: AbortSignal): Promise<void> {
    const { keep, tell } = this.#settings;
    const [oldest = latest] = this.#store.list().checkpoints.slice(-keep);
    if (runsOn && chainLength(this.#store.path, latest) > longestChain(keep)) {
      tell({ event: "merging", checkpoint: oldest });
      await mergeParents(this.#store.directoryOf(oldest), { signal });
      this.#store.measure(oldest);
    }
    const checkpoints = this.#store.prune(keep);
    if (checkpoints.length > 0) tell({ event: "pruned", checkpoints });
  }

  /** Does something without which the job is none the worse. */
  async #orTell(action: () => void | Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      const failure = asStasisError(error);
      if (failure.code !== "cancelled") this.#settings.tell({ event: "failed", error: failure });
    }
  }

  /** Saves the job whenever it is time to, or wanted. @returns why no longer */
  async whileItRuns(requests: Requests): Promise<"stop" | "ended"> {
    const { every, tell } = this.#settings;
    const now = performance.now();
    let last: Attempt = { begun: now, ended: now };
    for (;;) {
      const wanted = await requests.next(nextSave(every, last) - performance.now());
      if (wanted !== "save") return wanted;
      const begun = performance.now();
      try {
        await this.save(true, requests.abortedByStop());
      } catch (error) {
        const isWanted = !this.#hasEnded && !requests.hasEnded && !requests.isToStop;
        if (isWanted) tell({ event: "not-saved", error: asStasisError(error) });
      }
      last = { begun, ended: performance.now() };
    }
  }

  /** Whether the root has ended: whoever waits for that is told of it next. */
  get #hasEnded(): boolean {
    return unlessGone(() => {
      const { state, threads } = readStat(this.#tree.pid);
      // The first thread may have ended while others live.
      return state === "X" || state === "Z" && threads <= 1;
    }, true);
  }

  /** Saves the job for the last time, in time. @param leaveRunning whether it runs on @returns whether it is saved */
  async saveLast(leaveRunning: boolean): Promise<boolean> {
    const { grace, tell } = this.#settings;
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), grace);
    try {
      await this.save(leaveRunning, controller.signal);
      return true;
    } catch (error) {
      const late = controller.signal.aborted
        ? new StasisError("timeout", `the job could not be saved in ${grace / 1000} s`, {
          hint: "allow more time (--grace), and whoever sends SIGTERM to wait for longer",
          cause: error,
        })
        : asStasisError(error);
      tell({ event: "not-saved", error: late });
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}
