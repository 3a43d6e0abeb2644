/**
 * Trees made at random: each is refused before anything is touched and unharmed, or comes back right, twice. For
 * more of them: `deno task test:mix`.
 */
import { ok } from "@std/assert";
import { explain } from "../mixed/explain.ts";
import { isBusy, makeRecipe } from "../mixed/make_recipe.ts";
import { type Outcome, tryRecipe } from "../mixed/trial.ts";

const FIRST_SEED = 1;
const RECIPES = 40;
const outcomes: Outcome[] = [];

for (let seed = FIRST_SEED; seed < FIRST_SEED + RECIPES; seed++) {
  const recipe = makeRecipe(seed);
  const name = `${isBusy(seed) ? "a busy" : "a"} tree of ${recipe.length} parts, seed ${seed}`;
  Deno.test(`${name}, is refused and unharmed, or restored and right`, async () => {
    const outcome = await tryRecipe(recipe, { busy: isBusy(seed) });
    outcomes.push(outcome);
    if (outcome.kind === "failed") throw new Error(await explain(recipe, isBusy(seed), outcome));
  });
}

Deno.test("most trees made at random are restored", () => {
  const restored = outcomes.filter(({ kind }) => kind === "right").length;
  ok(restored >= outcomes.length / 2, `${restored} of ${outcomes.length}`);
});
