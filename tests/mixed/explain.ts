/**
 * What is told of a recipe that fails: what went wrong, and the smallest recipe in which it does.
 *
 * @module
 */

import { type Recipe, toWords } from "./recipe.ts";
import { shrink } from "./shrink.ts";
import { type Failure, signatureOf, tryRecipe } from "./trial.ts";

/** How long a failing recipe is made smaller, in milliseconds. */
const SHRINK_LIMIT_MS = 90_000;

/** The smallest recipe that fails like this one, and the command that runs it. */
export async function explain(
  recipe: Recipe,
  busy: boolean,
  outcome: Failure,
  limitMs = SHRINK_LIMIT_MS,
): Promise<string> {
  const end = performance.now() + limitMs;
  const signature = signatureOf(outcome);
  const smallest = await shrink(recipe, async (candidate) => {
    const other = await tryRecipe(candidate, { busy });
    return other.kind === "failed" && signatureOf(other) === signature;
  }, () => performance.now() < end);
  const words = [...(busy ? ["busy"] : []), ...toWords(smallest)].map((word) => `'${word}'`);
  return `${outcome.stage}: ${outcome.what}\nagain: deno task test:mix ${words.join(" ")}`;
}
