import { deepEqual } from "@std/assert";
import { chooseHeld } from "./held_pages.ts";

Deno.test("chooseHeld() takes what fits, and nothing that is empty", () => {
  deepEqual(chooseHeld([0n, 40n, 70n, 60n, 1n], 100n), [false, true, false, true, false]);
});
