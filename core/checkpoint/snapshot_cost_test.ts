import { equal } from "@std/assert";
import { mostSince, sumPrivate } from "./snapshot_cost.ts";

Deno.test("mostSince() counts faults, and what was given up", () => {
  const before = { startTime: 7n, faults: 10n, resident: 100n };
  const later = (faults: bigint, resident: bigint) =>
    mostSince(before, { startTime: 7n, faults, resident });
  equal(mostSince(before, before), 0);
  equal(later(13n, 100n), 3 * 4096);
  equal(later(13n, 40n), 63 * 4096);
  equal(later(13n, 400n), 3 * 4096);
  // It has ended, and another one has its pid.
  equal(later(0n, 0n), 100 * 4096);
  equal(mostSince(before, { startTime: 8n, faults: 11n, resident: 100n }), 100 * 4096);
});

Deno.test("sumPrivate() adds what is nobody else's", () => {
  const text = [
    "55d0 ---p 00000000 00:00 0    [rollup]",
    "Rss:                1964 kB",
    "Shared_Dirty:         44 kB",
    "Private_Clean:        12 kB",
    "Private_Dirty:       100 kB",
    "Private_Hugetlb:       8 kB",
    "",
  ].join("\n");
  equal(sumPrivate(text), 112 * 1024);
  equal(sumPrivate(""), 0);
});
