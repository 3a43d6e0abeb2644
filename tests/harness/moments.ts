/**
 * The moments at which a tree stands still during a checkpoint: before, between and after what is run in it.
 *
 * @module
 */
import { type CheckpointHooks, definePlugin, type Plugin } from "../../core/plugin.ts";

/** Every moment, in the order of time. */
export const MOMENTS = [
  "before anything runs in it",
  "while calls run in it",
  "between calls",
  "at the end",
  "at the last moment",
] as const;

/** A moment. */
export type Moment = typeof MOMENTS[number];

/** A plugin with these hooks. */
export function outsider(hooks: CheckpointHooks): Plugin {
  const checkpoint = () => hooks;
  return definePlugin({
    name: "outsider",
    description: "disturbs",
    before: ["signals"],
    checkpoint,
  });
}

/** A plugin that does something at that moment, perhaps more than once. */
export function actAt(moment: Moment, act: () => void): Plugin {
  switch (moment) {
    case "before anything runs in it":
      return outsider({ freezeThreads: act });
    case "while calls run in it":
      return outsider({ collectThread: (_, program) => (act(), void program.try("getpid")) });
    case "between calls":
      return outsider({ dumpTask: act });
    case "at the end":
      return outsider({ pages: act });
    case "at the last moment":
      return outsider({ dumpLast: act });
  }
}
