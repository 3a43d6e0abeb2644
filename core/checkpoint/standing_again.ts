/**
 * A tree that has been saved and stands still once more, since its memory must not change any further. Nothing is changed
 * in it: threads are stopped as they are, and where the tool dies the kernel lets them go.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { type Hooked, runHook } from "../hooks.ts";
import { readStat, unlessGone } from "../linux/procfs/mod.ts";
import { Urgency } from "../linux/urgency.ts";
import type { CheckpointHooks } from "../plugin.ts";
import { freezeTree } from "./freeze.ts";

/** How often a tree is frozen at the most that a task leaves meanwhile. */
const ATTEMPTS = 5;

/** The root of a tree: another process may have its pid by now. */
export interface Root {
  readonly pid: number;
  /** Since boot, in ticks. */
  readonly startTime: bigint;
}

/** The second standing of one checkpoint, if there is one. Disposing of it ends that. */
export class StandingAgain implements Disposable {
  readonly #root: Root;
  readonly #threads: number;
  readonly #hooked: readonly Hooked<CheckpointHooks>[];
  readonly #cancellation: Cancellation;
  #standing: { readonly undo: DisposableStack; readonly since: number } | undefined;

  /** @param threads how many the tree has, about */
  constructor(
    root: Root,
    threads: number,
    hooked: readonly Hooked<CheckpointHooks>[],
    cancellation: Cancellation,
  ) {
    this.#root = root;
    this.#threads = threads;
    this.#hooked = hooked;
    this.#cancellation = cancellation;
  }

  /**
   * Has the tree stand still.
   *
   * @throws {StasisError} `no-such-task` where its root has ended: what is left of the tree cannot be found any more,
   *   and may write on. What stands still is let run then
   */
  begin(): void {
    const since = performance.now();
    for (let count = 1; this.#standing === undefined; count++) {
      if (!this.#isSame()) throw this.#hasEnded();
      try {
        this.#standing = { undo: this.#freeze(), since };
      } catch (error) {
        if (!(error instanceof StasisError && error.code === "no-such-task")) throw error;
        if (this.#isSame() && count === ATTEMPTS) throw error;
      }
    }
  }

  #freeze(): DisposableStack {
    using undo = new DisposableStack();
    undo.use(new Urgency(this.#threads));
    freezeTree(this.#root.pid, undo, this.#cancellation, (tracee) => {
      for (const { plugin, hooks } of this.#hooked) {
        runHook(plugin, () => hooks.stopThread?.(tracee));
      }
    });
    // Another one may have got its pid just before.
    if (!this.#isSame()) throw this.#hasEnded();
    return undo.move();
  }

  #isSame(): boolean {
    const { pid, startTime } = this.#root;
    return unlessGone(() => {
      const stat = readStat(pid);
      return stat.startTime === startTime && !["Z", "X"].includes(stat.state);
    }, false);
  }

  #hasEnded(): StasisError {
    const { pid } = this.#root;
    return new StasisError(
      "no-such-task",
      `task ${pid} has ended while its memory was being written, and its tree cannot stand still again, as the limit ` +
        `of the snapshot demands`,
      { pid, hint: "allow the snapshot more memory (--snapshot-limit), or leave --snapshot out" },
    );
  }

  /** Lets it run. @returns for how long it stood still, in milliseconds */
  end(): number {
    if (this.#standing === undefined) return 0;
    const { undo, since } = this.#standing;
    this.#standing = undefined;
    undo.dispose();
    return performance.now() - since;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
