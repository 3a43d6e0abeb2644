import { deepEqual } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { task_timers_entrySchema } from "../../images/gen/timers_pb.ts";
import { describeTimers } from "./timers.ts";

const off = { isec: 0n, iusec: 0n, vsec: 0n, vusec: 0n };
const posix = {
  itId: 3,
  clockId: 1,
  siSigno: 14,
  itSigevNotify: 0,
  sivalPtr: 0n,
  overrun: 0,
  isec: 0n,
  insec: 0n,
  vsec: 0n,
  vnsec: 0n,
};

Deno.test("describeTimers() says when each fires, and leaves out intervals that are off", () => {
  const timers = create(task_timers_entrySchema, {
    real: { isec: 1n, iusec: 500_000n, vsec: 0n, vusec: 250_000n },
    virt: off,
    prof: { ...off, isec: 2n },
    posix: [
      { ...posix, vsec: 5n, insec: 1_000_000n },
      { ...posix, itId: 4, itSigevNotify: 4, notifyThreadId: 77, clockId: 0xffffffff << 3 >>> 0 },
      { ...posix, itId: 5, itSigevNotify: 1, overrun: 2, clockId: 99 },
    ],
  });
  deepEqual(describeTimers(timers), [
    "ITIMER_REAL  due in 0.250 s, every 1.500 s",
    "ITIMER_PROF  has fired, every 2.000 s",
    "timer 3  CLOCK_MONOTONIC  due in 5.000 s, every 0.001 s  sends SIGALRM",
    "timer 4  CPU time of process itself  off  sends SIGALRM to thread 77",
    "timer 5  clock 99  off  tells nobody  2 overrun",
  ]);
  deepEqual(describeTimers(undefined), []);
});
