import { variantName, VARIANTS } from "../harness/variants.ts";
import { match } from "@std/assert";
import { Subject } from "../harness/subject.ts";
import { waitUntil } from "../harness/processes.ts";
import { bringsBack, leavesAlone, problemsOf } from "./round_trip.ts";

for (const name of ["eventfd", "timerfd", "epoll", "epoll_elsewhere", "signalfd", "pidfd"]) {
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

/** It watches what only a process of another tree has by then. */
const WATCHES_OUTSIDE = `
import os, select, time
epoll, event = select.epoll(), os.eventfd(0)
epoll.register(event, select.EPOLLIN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        epoll.close()
        print("ready", flush=True)
        time.sleep(1000)
    os._exit(0)
os.wait()
os.close(event)
print("alone", flush=True)
time.sleep(1000)
`;

Deno.test("an epoll instance that watches a file which nobody in the tree has is refused, and left alone", async () => {
  await using subject = await Subject.spawn("/usr/bin/python3", { args: ["-c", WATCHES_OUTSIDE] });
  await waitUntil(
    () => /ready/.test(subject.output()) && /alone/.test(subject.output()),
    () => `both processes: ${subject.errors()}`,
  );
  const problems = await problemsOf(subject.pid);
  match(
    problems.map(({ what }) => what).join("\n"),
    /epoll descriptor \d+ watches files that were added as \d+ and that no process of the tree has/,
  );
});
