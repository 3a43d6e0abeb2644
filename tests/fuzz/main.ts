/**
 * `deno task fuzz [CASES] [SEED] [FROM]`: tries hostile images, as root; 10,000 cases where nothing is said. A defect
 * is printed with its number: `deno task fuzz 1 SEED NUMBER` tries that one again (of other recordings, so that
 * addresses and ids are not the same).
 *
 * @module
 */
import { FuzzRoom, tryCases } from "./watch.ts";

/** So many cases between two lines of progress. */
const BATCH = 5_000;
const BUILD_EVERY = 50;

if (import.meta.main) {
  const [cases = 10_000, seed = 1, first = 0] = Deno.args.map(Number);
  await using room = await FuzzRoom.create();
  const outcomes = new Map<string, number>();
  let built = 0;
  let defects = 0;
  const begin = performance.now();
  for (let from = first; from < first + cases; from += BATCH) {
    const to = Math.min(from + BATCH, first + cases);
    const found = await tryCases(room, { seed, from, to, buildEvery: BUILD_EVERY });
    for (const [outcome, count] of found.outcomes) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count);
    }
    for (const defect of found.defects) console.log(`\nDEFECT ${defect}`);
    built += found.built;
    defects += found.defects.length;
    const seconds = Math.round((performance.now() - begin) / 1000);
    const parts = [...outcomes].sort().map(([outcome, count]) => `${outcome} ${count}`);
    console.log(`${to - first} cases in ${seconds} s, ${built} built: ${parts.join(", ")}`);
  }
  console.log(defects === 0 ? "no defect" : `${defects} defects`);
  if (defects > 0) Deno.exitCode = 1;
}
