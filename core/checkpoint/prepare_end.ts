/**
 * The last word of the plugins before a tree that was saved is killed.
 *
 * @module
 */
import type { StasisError } from "../../base/errors.ts";
import { blame, type Hooked, runHook } from "../hooks.ts";
import type { CheckpointHooks, FrozenTree } from "../plugin.ts";

/**
 * Has the plugins make ready for the end of a tree. It is killed whatever they say: its images are there, and a tree of
 * which one half is ready for its end must not run on.
 *
 * @returns what has failed
 */
export function prepareEnd(
  tree: FrozenTree,
  hooked: readonly Hooked<CheckpointHooks>[],
): readonly StasisError[] {
  return hooked.flatMap(({ plugin, hooks }) => {
    try {
      runHook(plugin, () => hooks.end?.(tree));
      return [];
    } catch (error) {
      return [blame(plugin, error)];
    }
  });
}
