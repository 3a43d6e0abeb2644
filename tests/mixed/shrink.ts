/**
 * Making a recipe that fails as small as it goes.
 *
 * @module
 */

import { type Recipe, without } from "./recipe.ts";

/**
 * Drops parts, and words of parts, for as long as what is left still fails: first halves, then quarters, in the
 * end one by one (delta debugging).
 *
 * @param fails whether a recipe fails in the way that is looked for
 * @param mayGoOn asked before each try; where it says no, the smallest recipe so far is the answer
 */
export async function shrink(
  recipe: Recipe,
  fails: (recipe: Recipe) => Promise<boolean>,
  mayGoOn: () => boolean = () => true,
): Promise<Recipe> {
  let smallest = recipe;
  const keep = async (candidate: Recipe) => {
    if (!mayGoOn() || !await fails(candidate)) return false;
    smallest = candidate;
    return true;
  };
  for (let chunk = Math.ceil(recipe.length / 2); chunk >= 1; chunk = Math.floor(chunk / 2)) {
    // From the end: what stands last has fewest that need it.
    for (let end = smallest.length; end > 0;) {
      const ids = smallest.slice(Math.max(0, end - chunk), end).map(({ id }) => id);
      await keep(without(smallest, new Set(ids)));
      end = Math.min(end - chunk, smallest.length);
    }
  }
  for (const { id } of smallest) {
    for (const word of smallest.find((part) => part.id === id)!.words) {
      await keep(
        smallest.map((part) =>
          part.id === id ? { ...part, words: part.words.filter((other) => other !== word) } : part
        ),
      );
    }
  }
  return smallest;
}
