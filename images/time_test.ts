import { deepEqual } from "@std/assert";
import { joinMicroseconds, joinNanoseconds, splitMicroseconds, splitNanoseconds } from "./time.ts";

Deno.test("splitNanoseconds() and joinNanoseconds() keep every nanosecond", () => {
  deepEqual(splitNanoseconds(5_000_000_007n), { sec: 5n, nsec: 7n });
  deepEqual(joinNanoseconds(5n, 7n), 5_000_000_007n);
});

Deno.test("splitMicroseconds() rounds down", () => {
  deepEqual(splitMicroseconds(2_000_001_999n), { sec: 2n, usec: 1n });
  deepEqual(joinMicroseconds(2n, 1n), 2_000_001_000n);
});
