import { deepEqual, equal } from "@std/assert";
import { cpuClock, threadClock } from "./clock.ts";

Deno.test("cpuClock() knows whose time a clock measures", () => {
  equal(cpuClock(0), undefined);
  equal(cpuClock(1), undefined);
  deepEqual(cpuClock(2), { of: "process", id: 0 });
  deepEqual(cpuClock(3), { of: "thread", id: 0 });
  // As /proc/PID/timers shows CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID.
  deepEqual(cpuClock(-6), { of: "process", id: 0 });
  deepEqual(cpuClock(-2), { of: "thread", id: 0 });
  // Of pthread_getcpuclockid(3) for thread 31817.
  deepEqual(cpuClock(-254538), { of: "thread", id: 31817 });
  deepEqual(cpuClock(-254538 >>> 0), { of: "thread", id: 31817 });
});

Deno.test("threadClock() names the clock of a thread", () => {
  equal(threadClock(31817), -254538);
  deepEqual(cpuClock(threadClock(4_000_000)), { of: "thread", id: 4_000_000 });
});
