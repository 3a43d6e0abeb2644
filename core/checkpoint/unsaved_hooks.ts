/**
 * Hooks of a checkpoint whose images go nowhere: for a rehearsal, or where a process stands still for something else than
 * to be saved. What they have learned goes with them.
 *
 * @module
 */
import { ImageWriter } from "../../images/mod.ts";
import type { Cancellation } from "../cancellation.ts";
import { type Hooked, makeSession, runHook } from "../hooks.ts";
import type { CheckpointHooks, CheckpointSession, OperationOptions, Plugin } from "../plugin.ts";
import { mappingClaims, onlyClaim } from "./claims.ts";
import { createFileTable } from "./file_table.ts";
import { LinkRemaps } from "./link_remaps.ts";

/** One set of them. */
export class UnsavedHooks implements Disposable {
  /** In the order of the plugins. */
  readonly hooked: readonly Hooked<CheckpointHooks>[];
  readonly #stack: DisposableStack;
  readonly #common: Omit<CheckpointSession, keyof ReturnType<typeof makeSession>>;
  readonly #cancellation: Cancellation;
  readonly #options: OperationOptions;

  /**
   * @param plugins in their order
   * @param shadows hold memory still
   */
  constructor(
    plugins: readonly Plugin[],
    options: OperationOptions,
    cancellation: Cancellation,
    shadows?: CheckpointSession["shadows"],
  ) {
    this.#cancellation = cancellation;
    this.#options = options;
    using stack = new DisposableStack();
    const writer = stack.use(ImageWriter.createNothing());
    const links = stack.use(new LinkRemaps(() => {}));
    const hooked: Hooked<CheckpointHooks>[] = [];
    this.#common = {
      writer,
      files: createFileTable(writer, links),
      inventory: {},
      requirePlugin: () => {},
      problem: () => {},
      shadows,
      mappingDumper: (vma, task) =>
        onlyClaim(mappingClaims(vma, task, hooked), "a mapping").offered,
    };
    for (const plugin of plugins) {
      const session = this.sessionOf(plugin);
      const hooks = runHook(plugin, () => plugin.checkpoint?.(session) ?? {});
      hooked.push({ plugin, hooks });
    }
    this.hooked = hooked;
    this.#stack = stack.move();
  }

  /** What a plugin works with, or the core. */
  sessionOf(plugin: Pick<Plugin, "name" | "description">): CheckpointSession {
    return {
      ...makeSession(plugin, () => {}, this.#cancellation, this.#options),
      ...this.#common,
    };
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
