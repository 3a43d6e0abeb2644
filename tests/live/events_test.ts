import { variantName, VARIANTS } from "../harness/variants.ts";
import { bringsBack, leavesAlone } from "./round_trip.ts";

for (const name of ["eventfd", "timerfd", "epoll", "signalfd", "pidfd"]) {
  // The time that is left of a timer, and how often it expired, changes by itself.
  const ignore = name === "timerfd" ? [/\/fdinfo\/\d+\/(it_value|ticks)$/] : [];
  Deno.test(`${name}: it is what it was after a restore`, (t) => bringsBack(t, name, { ignore }));
  Deno.test(`${name}: a checkpoint that lets it run changes nothing`, (t) =>
    leavesAlone(t, name, { ignore }));
}

for (const args of VARIANTS.epoll_numbers ?? []) {
  const title = variantName("epoll_numbers", args);
  Deno.test(`${title}: it is what it was after a restore`, (t) =>
    bringsBack(t, "epoll_numbers", { args }));
  Deno.test(`${title}: a checkpoint that lets it run changes nothing`, (t) =>
    leavesAlone(t, "epoll_numbers", { args }));
}
