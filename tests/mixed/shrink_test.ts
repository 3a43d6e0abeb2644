import { deepEqual, ok } from "@std/assert";
import { makeRecipe } from "./make_recipe.ts";
import { fromWords, type Recipe, toWords } from "./recipe.ts";
import { shrink } from "./shrink.ts";

const WORDS = ["1=proc@0", "2=file@1:append,size=5", "3=file@0:size=7", "4=map@0", "5=epoll@0:#3"];

Deno.test("shrink() finds the parts and words without which a recipe does not fail", async () => {
  const has = (recipe: Recipe, op: string, word: string) =>
    recipe.some((part) => part.op === op && part.words.includes(word));
  const fails = (recipe: Recipe) =>
    Promise.resolve(has(recipe, "file", "append") && recipe.some(({ op }) => op === "map"));
  const smallest = await shrink(fromWords(WORDS), fails);
  deepEqual(toWords(smallest), ["1=proc@0", "2=file@1:append", "4=map@0"]);
});

Deno.test("shrink() tries few recipes of a large one", async () => {
  let tries = 0;
  const recipe = makeRecipe(5, { size: 60 });
  const last = recipe.at(-1)!;
  const smallest = await shrink(recipe, (candidate) => {
    tries++;
    return Promise.resolve(candidate.some(({ id }) => id === last.id));
  });
  ok(smallest.length < 10 && tries < 60, `${smallest.length} parts, ${tries} tries`);
});

Deno.test("shrink() ends when it may not go on", async () => {
  let left = 1;
  const recipe = fromWords(WORDS);
  const smallest = await shrink(recipe, () => Promise.resolve(true), () => left-- > 0);
  ok(smallest.length < recipe.length && smallest.length > 0);
});
