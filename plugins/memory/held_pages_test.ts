import { deepEqual } from "@std/assert";
import { chooseHeld, lotsOf } from "./held_pages.ts";

Deno.test("chooseHeld() takes what fits, and nothing that is empty", () => {
  deepEqual(chooseHeld([0n, 40n, 70n, 60n, 1n], 100n), [false, true, false, true, false]);
});

Deno.test("lotsOf() takes all at once of few tasks, and a little at a time of very many", () => {
  const files = (count: number) => Array.from({ length: count }, () => ({ size: 3n << 20n }));
  deepEqual(lotsOf([]), []);
  deepEqual(lotsOf(files(255)).map((lot) => lot.length), [255]);
  const lots = lotsOf([...files(255), { size: 20n << 20n }, { size: 1n }]);
  deepEqual(new Set(lots.slice(0, -3).map((lot) => lot.length)), new Set([2]));
  deepEqual(lots.slice(-3).map((lot) => lot.length), [1, 1, 1]);
  deepEqual(lots.flat().length, 257);
});
