import { equal, ok } from "@std/assert";
import { LONGEST_CHAIN, longestChain } from "./chain.ts";

Deno.test("longestChain() leaves room for some checkpoints between two copies of all memory", () => {
  equal(longestChain(3), LONGEST_CHAIN);
  for (const keep of [15, 16, 17, 31]) ok(longestChain(keep) >= keep + 8);
});
