/**
 * Recipes of the mixed subject (`tests/subjects/mixed.h` has their grammar): which tasks there are and what they
 * share, which descriptors, mappings, timers, waits and settings they have, and in which order they came by them.
 *
 * @module
 */

/** One part of a recipe: what a task makes, or what is done to it. */
export interface Part {
  /** 1 to 198, each once in a recipe. */
  readonly id: number;
  /** `file`, `proc`, `map`, ... */
  readonly op: string;
  /** The task that makes it: 0 for the root, else the id of a part that made a task. */
  readonly task: number;
  /** `append`, `size=100`, and `#7` for the part that it needs. */
  readonly words: readonly string[];
}

/** Parts in the order in which they are made. */
export type Recipe = readonly Part[];

/** A recipe as arguments of the subject, one word a part. */
export function toWords(recipe: Recipe): string[] {
  return recipe.map(({ id, op, task, words }) =>
    `${id}=${op}@${task}${words.length > 0 ? `:${words.join(",")}` : ""}`
  );
}

/**
 * The recipe of such words.
 *
 * @throws {RangeError} for a word that is no part
 */
export function fromWords(words: readonly string[]): Recipe {
  return words.map((word) => {
    const match = /^(\d+)=([a-z]+)@(\d+)(?::(.*))?$/.exec(word);
    if (match === null) throw new RangeError(`"${word}" is no part of a recipe`);
    const [, id, op, task, rest] = match;
    const more = rest === undefined || rest === "" ? [] : rest.split(",");
    return { id: Number(id), op: op!, task: Number(task), words: more };
  });
}

/** The parts that a part cannot be without: those it refers to, and the task that makes it. */
export function needs({ task, words }: Part): number[] {
  const refs = words.filter((word) => word.startsWith("#")).map((word) => Number(word.slice(1)));
  return task === 0 ? refs : [task, ...refs];
}

/** A recipe without some of its parts, and without what cannot be without those. */
export function without(recipe: Recipe, dropped: ReadonlySet<number>): Recipe {
  const gone = new Set(dropped);
  return recipe.filter((part) => {
    if (needs(part).some((id) => gone.has(id))) gone.add(part.id);
    return !gone.has(part.id);
  });
}
