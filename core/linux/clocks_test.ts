import { equal } from "@std/assert";
import { CLOCK } from "./clock_numbers.ts";
import { clockLead, isWallClock, readClocks } from "./clocks.ts";

Deno.test("isWallClock() tells the clocks that go on while a machine is off", () => {
  for (const clock of [CLOCK.REALTIME, CLOCK.REALTIME_ALARM, CLOCK.TAI]) {
    equal(isWallClock(clock), true);
  }
  for (const clock of [CLOCK.MONOTONIC, CLOCK.BOOTTIME]) equal(isWallClock(clock), false);
});

Deno.test("clockLead() is of the clocks that time namespaces have", () => {
  const theirs = { monotonic: 7n, boottime: 90n };
  const own = { monotonic: 2n, boottime: 100n };
  equal(clockLead(CLOCK.MONOTONIC, theirs, own), 5n);
  equal(clockLead(CLOCK.BOOTTIME, theirs, own), -10n);
  equal(clockLead(CLOCK.BOOTTIME_ALARM, theirs, own), -10n);
  equal(clockLead(CLOCK.REALTIME, theirs, own), 0n);
});

Deno.test("readClocks() goes on from one look to the next", () => {
  const [before, after] = [readClocks(), readClocks()];
  equal(after.bootId, before.bootId);
  equal(after.monotonic >= before.monotonic, true);
});
