/**
 * A tree that has been saved and stands still once more, since its memory must not change any further. Nothing is changed
 * in it: threads are stopped as they are, and where the tool dies the kernel lets them go.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { Cancellation } from "../cancellation.ts";
import { type Hooked, runHook } from "../hooks.ts";
import type { CheckpointHooks } from "../plugin.ts";
import { freezeTree } from "./freeze.ts";

/** The second standing of one checkpoint, if there is one. Disposing of it ends that. */
export class StandingAgain implements Disposable {
  readonly #pid: number;
  readonly #hooked: readonly Hooked<CheckpointHooks>[];
  readonly #cancellation: Cancellation;
  #standing: { readonly undo: DisposableStack; readonly since: number } | undefined;

  constructor(pid: number, hooked: readonly Hooked<CheckpointHooks>[], cancellation: Cancellation) {
    this.#pid = pid;
    this.#hooked = hooked;
    this.#cancellation = cancellation;
  }

  /** Has the tree stand still. One that has ended writes to nothing any more. */
  begin(): void {
    using undo = new DisposableStack();
    const since = performance.now();
    try {
      freezeTree(this.#pid, undo, this.#cancellation, (tracee) => {
        for (const { plugin, hooks } of this.#hooked) {
          runHook(plugin, () => hooks.stopThread?.(tracee));
        }
      });
    } catch (error) {
      if (!(error instanceof StasisError && error.code === "no-such-task")) throw error;
    }
    this.#standing = { undo: undo.move(), since };
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
