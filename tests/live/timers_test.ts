import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

/** A timer that ticks has its signal waiting at one moment and not at the next. */
const ignore = [/status\/ShdPnd/, /status\/SigPnd/];

/** One of the CPU time of "the thread that made it" names that thread afterwards, as the subject sees itself. */
const NAMED = /\/timer\/\d+\/ClockID$/;
const NAMING = new Set(["timer_ended", "timer_maker"]);

for (const name of ["timer_itimer", "timer_posix", "timer_ended", "timer_maker"]) {
  for (const args of VARIANTS[name] ?? []) {
    const title = variantName(name, args);
    Deno.test(`${title}: it is what it was after a restore`, (t) =>
      bringsBack(t, name, { args, ignore: NAMING.has(name) ? [...ignore, NAMED] : ignore }));
    Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
      leavesAlone(t, name, { args, ignore }));
  }
}
