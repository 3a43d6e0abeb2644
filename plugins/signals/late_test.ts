import { deepEqual } from "@std/assert";
import { Siginfo } from "../../core/linux/siginfo.ts";
import { SIG } from "../../core/linux/signals.ts";
import { finalQueues } from "./late.ts";

const SI_USER = 0, SI_KERNEL = 0x80, SI_TIMER = -2, SI_TKILL = -6;
const USR1 = 10, USR2 = 12, RT = 40;
const of = (signal: number, code = SI_USER, payload = 1n) => Siginfo.make(signal, code, payload);
const shared = (...queue: Siginfo[]) => ({ shared: queue, own: new Map() });
const NONE = new Map<number, Siginfo[]>();

Deno.test("finalQueues() adds what came from outside, in the order in which it came", () => {
  const before = [of(USR1), of(RT, -1, 7n)];
  const now = [...before, of(RT, -1, 7n), of(RT, -1, 8n), of(USR2)];
  deepEqual(finalQueues(shared(...before), shared(...now), NONE).shared, now);
});

Deno.test("finalQueues() leaves out what a timer or a child of the images will send again", () => {
  const again = [
    of(RT, SI_TIMER),
    of(SIG.ALRM, SI_KERNEL),
    of(SIG.PROF, SI_KERNEL),
    of(SIG.CHLD, 2),
  ];
  deepEqual(finalQueues(shared(), shared(...again), NONE).shared, []);
  // What waited before has left its timer and its child behind.
  deepEqual(finalQueues(shared(...again), shared(...again), NONE).shared, again);
  // Sent by somebody, or by the terminal, it comes once.
  const once = [of(SIG.ALRM), of(SIG.CHLD), of(2, SI_KERNEL)];
  deepEqual(finalQueues(shared(), shared(...once), NONE).shared, once);
});

Deno.test("finalQueues() forgets what another signal has taken out of the queue", () => {
  const before = [of(SIG.CONT), of(USR1)];
  const now = [of(USR1), of(SIG.STOP)];
  deepEqual(finalQueues(shared(...before), shared(...now), NONE).shared, now);
});

Deno.test("finalQueues() puts what was intercepted where it was sent to", () => {
  const own = new Map([[100, [of(USR1, SI_TKILL)]], [101, []]]);
  const queues = { shared: [of(USR2)], own };
  const intercepted = new Map([[101, [of(SIG.URG), of(SIG.STOP, SI_TKILL)]]]);
  deepEqual(finalQueues(queues, queues, intercepted), {
    shared: [of(USR2), of(SIG.URG)],
    own: new Map([[100, [of(USR1, SI_TKILL)]], [101, [of(SIG.STOP, SI_TKILL)]]]),
  });
});
