import { deepEqual, equal, throws } from "@std/assert";
import { formatClockOffsets, parseClockOffsets, readClockOffsets } from "./clock_offsets.ts";

Deno.test("parseClockOffsets() reads what the kernel writes", () => {
  deepEqual(
    parseClockOffsets("monotonic           0         0\nboottime            0         0\n"),
    {
      monotonic: 0n,
      boottime: 0n,
    },
  );
  deepEqual(
    parseClockOffsets("monotonic      -86401 999999999\nboottime     1000000         1\n"),
    {
      monotonic: -86_400_000_000_001n,
      boottime: 1_000_000_000_000_001n,
    },
  );
  throws(() => parseClockOffsets("monotonic 0 0\n"), /timens_offsets/);
});

Deno.test("formatClockOffsets() never writes negative nanoseconds", () => {
  const offsets = { monotonic: -86_400_000_000_001n, boottime: 5n };
  equal(formatClockOffsets(offsets), "monotonic -86401 999999999\nboottime 0 5\n");
  deepEqual(parseClockOffsets(formatClockOffsets(offsets)), offsets);
});

Deno.test("readClockOffsets() reads this process's", () => {
  const { monotonic, boottime } = readClockOffsets(Deno.pid);
  equal(typeof monotonic, "bigint");
  equal(typeof boottime, "bigint");
});
