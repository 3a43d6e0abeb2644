import { equal } from "@std/assert";
import { CLOCK, clockGoesOn, readClocks } from "./clocks.ts";

const BEFORE = { bootId: "a", realtime: 900n, monotonic: 100n, boottime: 200n };

Deno.test("clockGoesOn() holds for the time of day whatever happened", () => {
  for (const clock of [CLOCK.REALTIME, CLOCK.REALTIME_ALARM, CLOCK.TAI]) {
    equal(clockGoesOn(clock, undefined, BEFORE), true);
    equal(clockGoesOn(clock, BEFORE, { ...BEFORE, bootId: "b", realtime: 1n }), true);
  }
});

Deno.test("clockGoesOn() holds for other clocks within one boot, if they are not behind", () => {
  for (const clock of [CLOCK.MONOTONIC, CLOCK.BOOTTIME, CLOCK.BOOTTIME_ALARM]) {
    equal(clockGoesOn(clock, BEFORE, { ...BEFORE, monotonic: 101n, boottime: 201n }), true);
    equal(clockGoesOn(clock, BEFORE, { ...BEFORE, bootId: "b", monotonic: 101n }), false);
    equal(clockGoesOn(clock, BEFORE, { ...BEFORE, monotonic: 99n }), false);
    equal(clockGoesOn(clock, BEFORE, { ...BEFORE, boottime: 199n }), false);
    equal(clockGoesOn(clock, undefined, BEFORE), false);
  }
});

Deno.test("readClocks() goes on from one look to the next", () => {
  equal(clockGoesOn(CLOCK.MONOTONIC, readClocks(), readClocks()), true);
});
