import { deepEqual, equal, notDeepEqual, ok, throws } from "@std/assert";
import { makeRecipe } from "./make_recipe.ts";
import { fromWords, needs, toWords, without } from "./recipe.ts";

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed);

Deno.test("makeRecipe() makes the same of the same seed, and others of others", () => {
  deepEqual(makeRecipe(7), makeRecipe(7));
  notDeepEqual(makeRecipe(7), makeRecipe(8));
});

Deno.test("makeRecipe() refers to nothing that is not there yet, and gives each part a number", () => {
  for (const seed of SEEDS) {
    const known = new Set<number>([0]);
    for (const part of makeRecipe(seed)) {
      ok(!known.has(part.id) && part.id < 199, `seed ${seed}`);
      for (const id of needs(part)) ok(known.has(id), `seed ${seed}: part ${part.id} needs ${id}`);
      known.add(part.id);
    }
  }
});

Deno.test("makeRecipe() uses every kind of part, and what is refused in few recipes", () => {
  const ops = new Set(SEEDS.flatMap((seed) => makeRecipe(seed).map(({ op }) => op)));
  for (const op of ["proc", "thread", "file", "get", "epoll", "wait", "dispatch", "end", "stop"]) {
    ok(ops.has(op), op);
  }
  const odd = SEEDS.filter((seed) => makeRecipe(seed).some(({ op }) => op === "odd"));
  ok(odd.length > 0 && odd.length < SEEDS.length / 8, `${odd.length}`);
  const none = SEEDS.map((seed) => makeRecipe(seed, { refusable: false }));
  ok(none.every((recipe) => recipe.every(({ op }) => op !== "odd")));
});

Deno.test("makeRecipe() makes recipes of a wanted size", () => {
  const recipe = makeRecipe(3, { size: 20 });
  ok(recipe.length >= 20 && recipe.length <= 23, `${recipe.length}`);
});

Deno.test("fromWords() reads what toWords() writes", () => {
  for (const seed of SEEDS) {
    const recipe = makeRecipe(seed);
    deepEqual(fromWords(toWords(recipe)), recipe);
  }
  throws(() => fromWords(["1=file"]), /"1=file" is no part/);
});

Deno.test("without() drops what depends on what is dropped", () => {
  const recipe = fromWords([
    "1=proc@0",
    "2=file@1:rw",
    "3=file@0",
    "4=epoll@0:#2,#3",
    "5=dup@0:#3",
  ]);
  equal(toWords(without(recipe, new Set([2]))).join(" "), "1=proc@0 3=file@0 5=dup@0:#3");
  equal(toWords(without(recipe, new Set([1]))).join(" "), "3=file@0 5=dup@0:#3");
  deepEqual(without(recipe, new Set()), recipe);
});
