/**
 * A step of making a recipe: it adds a part to a task, or none where that makes no sense.
 *
 * @module
 */

import type { Random } from "../random.ts";
import type { Part } from "../recipe.ts";

/** A task of the recipe under way. */
export interface Task {
  readonly id: number;
  /** The task that was the first of its process. */
  readonly process: number;
  /** It cannot be told anything: it has ended, or it is a leader that must not end. */
  ended: boolean;
  /** Descriptors that it has under their own numbers, by part. */
  readonly descriptors: Set<number>;
}

/** What a step has to work with. */
export interface Context {
  readonly random: Random;
  /** A task that lives. */
  readonly task: Task;
  readonly tasks: readonly Task[];
  readonly parts: readonly Part[];
  readonly refusable: boolean;
  readonly stopped: Set<number>;
  add(op: string, task: number, words: readonly string[]): number;
  addTask(id: number, process: number, descriptors: Set<number>): void;
}

export interface Step {
  readonly weight: number;
  make(context: Context): void;
}
