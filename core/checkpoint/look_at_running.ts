/**
 * The look at a tree that runs, before anything is done to it.
 *
 * @module
 */
import type { EventListener } from "../../base/events.ts";
import type { Cancellation } from "../cancellation.ts";
import type { Hooked } from "../hooks.ts";
import { unlessGone } from "../linux/procfs/mod.ts";
import { ReadAhead } from "../linux/x86_64/read_ahead_ffi.ts";
import type { CheckpointHooks } from "../plugin.ts";
import { filesAhead } from "./files_ahead.ts";
import type { QuickMappings } from "./quick_mappings.ts";
import { surveyRunning } from "./survey.ts";
import { heldUntilItEnds, partedFromOutside } from "./survey_tree.ts";
import type { Task } from "./task.ts";

/** What was seen. */
export interface SeenRunning {
  /** What another thread is to read when it stands still. */
  readonly ahead: ReadAhead;
  /** How much memory the tree has, in bytes. */
  readonly resident: number;
  /** How many threads. */
  readonly count: number;
  /** Its tasks, none where nothing is known; of thousands what has been read of them is much. */
  readonly tasks: Task[];
}

/** Surveys a tree that runs. @param quick learns of its mappings */
export async function lookAtRunning(
  { pid, listener }: { readonly pid: number; readonly listener: EventListener },
  isToEnd: boolean,
  hooked: readonly Hooked<CheckpointHooks>[],
  cancellation: Cancellation,
  quick: QuickMappings,
): Promise<SeenRunning> {
  const tasks = await surveyRunning(pid, isToEnd, hooked, cancellation);
  quick.learn(tasks);
  const notes = [...partedFromOutside(tasks), ...isToEnd ? heldUntilItEnds(tasks) : []];
  for (const text of notes) listener({ kind: "note", plugin: "core", text });
  const ahead = new ReadAhead(filesAhead(tasks, hooked, (pid) => quick.has(pid)));
  // Where a tree has been found changed at each look nothing is known.
  const resident = tasks.length === 0 ? Infinity : residentMemory(tasks);
  const count = tasks.reduce((sum, task) => sum + unlessGone(() => task.threads.length, 0), 0);
  return { ahead, resident, count, tasks: [...tasks] };
}

/** How much memory tasks have, swapped out or not, in bytes; what they have in common is counted for each. */
function residentMemory(tasks: readonly Task[]): number {
  const sizes = tasks.map((task) => unlessGone(() => task.vmas, []))
    .map((vmas) => vmas.reduce((sum, { rss, swap }) => sum + rss + swap, 0));
  return sizes.reduce((sum, size) => sum + size, 0);
}
