import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { itimer_entrySchema, posix_timer_entrySchema } from "../../images/gen/timers_pb.ts";
import { Siginfo } from "../../core/linux/siginfo.ts";
import {
  decodeItimer,
  decodeSigevent,
  decodeSpec,
  encodeItimer,
  encodePosixTimer,
  itimerspec,
  itimerval,
  sigevent,
} from "./encode.ts";
import { firesAtOnce, sendsItself } from "./pending.ts";

const itimer = (value: Parameters<typeof itimerval.make>[0]) =>
  create(itimer_entrySchema, encodeItimer(itimerval.make(value)));

Deno.test("decodeItimer() sets what getitimer() told, and nothing where the timer is off", () => {
  const running = { intervalSec: 1n, intervalUsec: 2n, valueSec: 3n, valueUsec: 4n };
  deepEqual(itimerval.read(decodeItimer(itimer(running)) ?? new Uint8Array()), running);
  equal(decodeItimer(itimer({})), undefined);
  equal(decodeItimer(undefined), undefined);
});

Deno.test("decodeItimer() lets a timer go on that waits for its signal to be taken", () => {
  const bytes = decodeItimer(itimer({ intervalUsec: 10_000n }));
  deepEqual(itimerval.read(bytes ?? new Uint8Array()), {
    intervalSec: 0n,
    intervalUsec: 10_000n,
    valueSec: 0n,
    valueUsec: 1n,
  });
});

const TIMER = { id: 7, signal: 34, sigval: 0x1234n, notify: "signal", clockId: 1 } as const;
const posix = (timer: Parameters<typeof encodePosixTimer>[0], overrun = 0) =>
  create(
    posix_timer_entrySchema,
    encodePosixTimer(timer, itimerspec.make({ valueNsec: 5n }), overrun),
  );

Deno.test("encodePosixTimer() and decodeSigevent() keep whom the timer tells", () => {
  for (
    const [timer, notify, tid] of [
      [TIMER, 0, 0],
      [{ ...TIMER, notify: "none" }, 1, 0],
      [{ ...TIMER, notify: "thread" }, 2, 0],
      [{ ...TIMER, tid: 99 }, 4, 99],
    ] as const
  ) {
    deepEqual(sigevent.read(decodeSigevent(posix(timer))), {
      value: 0x1234n,
      signo: 34,
      notify,
      tid,
    });
  }
});

Deno.test("encodePosixTimer() keeps the clock of a process, which is a negative number", () => {
  equal(posix({ ...TIMER, clockId: -6 }).clockId | 0, -6);
});

Deno.test("decodeSpec() sets the time that is left, or fires at once", () => {
  const valueOf = (atOnce: boolean) =>
    itimerspec.read(decodeSpec(posix(TIMER), atOnce) ?? new Uint8Array()).valueNsec;
  equal(valueOf(false), 5n);
  equal(valueOf(true), 1n);
});

Deno.test("sendsItself() knows the signal of a timer by code, signal and id", () => {
  const SI_TIMER = -2, SI_QUEUE = -1;
  const timers = [posix(TIMER)];
  equal(sendsItself(Siginfo.make(34, SI_TIMER, 7n), timers), true);
  equal(sendsItself(Siginfo.make(34, SI_TIMER, 7n | 5n << 32n), timers), true);
  equal(sendsItself(Siginfo.make(34, SI_TIMER, 8n), timers), false);
  equal(sendsItself(Siginfo.make(35, SI_TIMER, 7n), timers), false);
  equal(sendsItself(Siginfo.make(34, SI_QUEUE, 7n), timers), false);
});

Deno.test("firesAtOnce() leaves timers of CPU time alone", () => {
  const waiting = [Siginfo.make(34, -2, 7n)];
  equal(firesAtOnce(posix(TIMER), waiting), true);
  for (const clockId of [2, 3, -6]) {
    equal(firesAtOnce(posix({ ...TIMER, clockId }), waiting), false);
  }
});
