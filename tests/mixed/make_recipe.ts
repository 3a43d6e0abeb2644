/**
 * Making a recipe at random from a seed. Pure: the same seed gives the same recipe.
 *
 * @module
 */

import { Random } from "./random.ts";
import type { Part, Recipe } from "./recipe.ts";
import { CALLS } from "./steps/calls.ts";
import { DESCRIPTORS } from "./steps/descriptors.ts";
import { MAPPINGS } from "./steps/mappings.ts";
import { SETTING } from "./steps/settings.ts";
import type { Context, Step, Task } from "./steps/step.ts";
import { TASKS } from "./steps/tasks.ts";
import { TIMERS } from "./steps/timers.ts";

/** What {@link makeRecipe} may be told. */
export interface RecipeOptions {
  /** About how many parts; 3 to 40 at random if absent. */
  readonly size?: number;
  /** Whether there may be things in it that a checkpoint is known to refuse. True if absent. */
  readonly refusable?: boolean;
}

/** The recipe of a seed. */
export function makeRecipe(seed: number, options: RecipeOptions = {}): Recipe {
  return new Maker(new Random(seed), options).make();
}

/** Every fifth subject is at work while it is saved. */
export function isBusy(seed: number): boolean {
  return seed % 5 === 0;
}

class Maker {
  readonly #random: Random;
  readonly #size: number;
  readonly #refusable: boolean;
  readonly #parts: Part[] = [];
  readonly #tasks: Task[] = [{ id: 0, process: 0, ended: false, descriptors: new Set() }];
  /** Processes that stop in the end, or whose tasks are filtered so that nothing else may be made by them. */
  readonly #stopped = new Set<number>();

  constructor(random: Random, options: RecipeOptions) {
    this.#random = random;
    this.#size = options.size ?? random.between(3, 40);
    // Most recipes shall be accepted: what is refused is in one of eight.
    this.#refusable = (options.refusable ?? true) && random.chance(1 / 8);
  }

  make(): Recipe {
    const { ended, ...tasks } = TASKS;
    const all = { ...tasks, ...DESCRIPTORS, ...MAPPINGS, ...TIMERS, ...CALLS, ...SETTING };
    const choices: Step[] = Object.values(all);
    if (this.#random.chance(0.7)) this.#add("set", 0, ["subreaper"]);
    while (this.#parts.length < this.#size) {
      const step = this.#random.weighted(choices, ({ weight }) => weight);
      step.make(this.#context());
    }
    // Endings come last, so that most tasks have something by then.
    for (let n = this.#random.between(0, 2); n > 0; n--) ended.make(this.#context());
    return this.#parts;
  }

  #context(): Context {
    const alive = this.#tasks.filter(({ ended }) => !ended);
    return {
      random: this.#random,
      task: this.#random.pick(alive),
      tasks: alive,
      parts: this.#parts,
      refusable: this.#refusable,
      stopped: this.#stopped,
      add: (op, task, words) => this.#add(op, task, words),
      addTask: (id, process, descriptors) =>
        void this.#tasks.push({ id, process, ended: false, descriptors }),
    };
  }

  #add(op: string, task: number, words: readonly string[]): number {
    const id = this.#parts.length + 1;
    this.#parts.push({ id, op, task, words });
    return id;
  }
}
