import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

/** A timer that ticks has its signal waiting at one moment and not at the next. */
const ignore = [/status\/ShdPnd/, /status\/SigPnd/];

for (const name of ["timer_itimer", "timer_posix"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) =>
      bringsBack(t, name, { args, ignore }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args, ignore }));
  }
}
