/**
 * What plugins copy memory with before a tree stands still: the moments in which it does for that.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { Cancellation } from "../cancellation.ts";
import { type Hooked, runHook } from "../hooks.ts";
import { OpenPagemap } from "../linux/open_pagemap.ts";
import { readMaps, unlessGone, type Vma } from "../linux/procfs/mod.ts";
import { Urgency } from "../linux/urgency.ts";
import { hasWriteTracking } from "../linux/userfaultfd.ts";
import type { CheckpointHooks, CopyAhead, OperationOptions, Plugin } from "../plugin.ts";
import { takeWriteTracker } from "../remote/take_userfaultfd.ts";
import type { Rescuer } from "../remote/undo.ts";
import type { QuickMappings } from "./quick_mappings.ts";
import { standStillBriefly } from "./stand_still.ts";
import { type Root, StandingAgain } from "./standing_again.ts";
import type { Task } from "./task.ts";
import { UnsavedHooks } from "./unsaved_hooks.ts";
import { WriteWatch } from "./write_watch.ts";

/** What goes along with it. */
export interface CopyingAhead {
  readonly root: Root;
  /** How many the tree has. */
  readonly threads: number;
  /** In their order. */
  readonly plugins: readonly Plugin[];
  readonly options: OperationOptions;
  /** The hooks of the checkpoint. */
  readonly hooked: readonly Hooked<CheckpointHooks>[];
  /** Starts one for a stop of a process: what was noted of one stop must not be there at the next. */
  readonly startRescuer: (pid: number) => Rescuer & Disposable;
  readonly cancellation: Cancellation;
  /** For how long the tree may stand still, in milliseconds; 0 is without end. */
  readonly timeout: number;
  /** Reads the mappings at the freeze. */
  readonly quick: QuickMappings;
  /** Is told why something is not copied. */
  readonly detail: (text: string) => void;
}

/** What cannot be stopped for so long is not copied, in milliseconds: it would stand still for longer than without. */
const PATIENCE = 1000;

/** The copying ahead of one checkpoint. */
export class AheadOfFreeze implements CopyAhead, AsyncDisposable {
  tasks: readonly Task[] = [];
  readonly undo: AsyncDisposableStack = new AsyncDisposableStack();
  readonly #with: CopyingAhead;
  #stoodStill = 0;

  constructor(goingAlong: CopyingAhead) {
    this.#with = goingAlong;
  }

  /** Has the plugins copy. @param tasks as they were surveyed */
  async run(tasks: readonly Task[]): Promise<void> {
    if (!hasWriteTracking()) return;
    this.tasks = tasks.filter((task) => unlessGone(() => !task.isZombie, false));
    for (const { plugin, hooks } of this.#with.hooked) {
      await runHook(plugin, () => hooks.copyAhead?.(this));
    }
    // What has been read of thousands of them is not kept.
    this.tasks = [];
  }

  /** For how long the tree, or a part of it, has stood still for this, in milliseconds. */
  get stoodStill(): number {
    return this.#stoodStill;
  }

  watch({ pid, stat: { state } }: Task, mappings: readonly Vma[]): WriteWatch | undefined {
    // One that job control has stopped is let be: who watches it would see that it has run.
    if (state === "T") return undefined;
    const { plugins, options, startRescuer, quick, detail } = this.#with;
    const what = `the memory of task ${pid} is not copied while it runs`;
    const own = this.#cancellation();
    using unsaved = new UnsavedHooks(plugins, options, own);
    using rescuer = startRescuer(pid);
    const standing = { rescuer, cancellation: own };
    const watch = this.#briefly(
      what,
      own,
      () =>
        standStillBriefly(pid, unsaved.hooked, standing, ({ proc, remote }) => {
          using stack = new DisposableStack();
          const pagemap = stack.use(new OpenPagemap(proc.liveTid));
          const tracker = takeWriteTracker(remote);
          if (typeof tracker === "string") return tracker;
          stack.move();
          const watch = this.undo.use(new WriteWatch(tracker, pagemap));
          quick.learnFlag("uw", proc, () => watch.register(mappings, readMaps(proc.liveTid)));
          return watch;
        }),
    );
    if (typeof watch !== "string") return watch;
    detail(`${what}: ${watch}`);
    return undefined;
  }

  settleCalls(): boolean {
    const { root, threads, hooked } = this.#with;
    const own = this.#cancellation();
    using again = new StandingAgain(root, threads, hooked, own);
    const settle = () => {
      again.begin();
      again.end();
      return true;
    };
    return this.#briefly("no memory is copied while the tree runs", own, settle) === true;
  }

  /** That of one stop: whatever it comes to, the checkpoint may go on. */
  #cancellation(): Cancellation {
    return new Cancellation(this.#with.cancellation.signal);
  }

  /** Does something for which the tree or a part of it stands still. What stands against the checkpoint is told at the freeze. */
  #briefly<T>(what: string, cancellation: Cancellation, act: () => T): T | undefined {
    const { threads, timeout, detail } = this.#with;
    const ms = timeout === 0 ? Infinity : Math.min(timeout, PATIENCE);
    const tooSlow = () => new StasisError("timeout", `it cannot be stopped in ${ms} ms`);
    using _limit = cancellation.limit(ms, tooSlow);
    using _urgency = new Urgency(threads);
    const since = performance.now();
    try {
      return act();
    } catch (error) {
      if (!(error instanceof StasisError) || error.code === "cancelled") throw error;
      detail(`${what}: ${error.message}`);
      return undefined;
    } finally {
      this.#stoodStill += performance.now() - since;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.undo.disposeAsync();
  }
}
