import { deepEqual } from "@std/assert";
import { remoteAddress } from "../linux/address.ts";
import { cutRanges, joinRanges, withoutRanges } from "./ranges.ts";

const range = (start: bigint, end: bigint) => ({
  start: remoteAddress(start),
  end: remoteAddress(end),
});

Deno.test("cutRanges() is what is in both", () => {
  const some = [range(0n, 4n), range(6n, 20n)];
  deepEqual(cutRanges(some, [range(2n, 8n), range(10n, 12n), range(19n, 30n)]), [
    range(2n, 4n),
    range(6n, 8n),
    range(10n, 12n),
    range(19n, 20n),
  ]);
  deepEqual(cutRanges(some, []), []);
  // Two neighbours stay two.
  deepEqual(cutRanges([range(0n, 9n)], [range(0n, 3n), range(3n, 5n)]), [
    range(0n, 3n),
    range(3n, 5n),
  ]);
});

Deno.test("joinRanges() is what is in either, in as few ranges as can be", () => {
  deepEqual(joinRanges([range(0n, 2n), range(8n, 9n)], [range(1n, 4n), range(4n, 5n)]), [
    range(0n, 5n),
    range(8n, 9n),
  ]);
  deepEqual(joinRanges([range(0n, 10n)], [range(2n, 3n)]), [range(0n, 10n)]);
});

Deno.test("withoutRanges() is what is left", () => {
  const others = [range(0n, 1n), range(3n, 4n), range(6n, 9n)];
  deepEqual(withoutRanges(range(2n, 7n), others), [range(2n, 3n), range(4n, 6n)]);
  deepEqual(withoutRanges(range(3n, 4n), others), []);
  deepEqual(withoutRanges(range(10n, 12n), others), [range(10n, 12n)]);
});
