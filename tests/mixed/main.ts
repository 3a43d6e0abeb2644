/**
 * `deno task test:mix`: recipes of the mixed subject by the thousand, or one again.
 *
 *     deno task test:mix [HOW MANY] [FIRST SEED]   as root; 100 from seed 1
 *     deno task test:mix [busy] PART...            this recipe, as a failure has printed it
 *
 * Prints a line for each recipe, and of one that fails what failed and the smallest recipe that fails in the same
 * way. The exit status is 1 where one did.
 *
 * @module
 */

import { explain } from "./explain.ts";
import { isBusy, makeRecipe } from "./make_recipe.ts";
import { fromWords } from "./recipe.ts";
import { type Outcome, signatureOf, tryRecipe } from "./trial.ts";

function oneLine(outcome: Outcome): string {
  switch (outcome.kind) {
    case "right":
      return "right";
    case "refused":
      return `refused: ${outcome.problems.join("; ")}`;
    case "failed":
      return `FAILED ${signatureOf(outcome)}`;
  }
}

if (import.meta.main) {
  const words = Deno.args.filter((word) => word !== "busy");
  if (words.some((word) => word.includes("@"))) {
    const outcome = await tryRecipe(fromWords(words), { busy: Deno.args.includes("busy") });
    console.log(
      outcome.kind === "failed" ? `FAILED ${outcome.stage}: ${outcome.what}` : oneLine(outcome),
    );
    Deno.exit(outcome.kind === "failed" ? 1 : 0);
  }
  const many = Number(words[0] ?? 100);
  const first = Number(words[1] ?? 1);
  const counts = { right: 0, refused: 0, failed: 0 };
  for (let seed = first; seed < first + many; seed++) {
    const recipe = makeRecipe(seed);
    const outcome = await tryRecipe(recipe, { busy: isBusy(seed) });
    counts[outcome.kind]++;
    console.log(`${seed} (${recipe.length} parts) ${oneLine(outcome)}`);
    if (outcome.kind === "failed") console.log(await explain(recipe, isBusy(seed), outcome));
  }
  console.log(`${counts.right} right, ${counts.refused} refused, ${counts.failed} failed`);
  Deno.exit(counts.failed > 0 ? 1 : 0);
}
