import { deepEqual, equal } from "@std/assert";
import { Errno } from "../../core/linux/errno.ts";
import { Registers } from "../../core/linux/x86_64/registers.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import { imageRegisters, liveRegisters, originalCall, waitingAgain } from "./restart.ts";

const IP = 0x401002n;
const SYSCALL = new Uint8Array([0x0f, 0x05]);

/** A thread that was interrupted in a call, behind its syscall instruction. */
function interrupted(nr: number, code: number): Registers {
  return new Registers().set("orig_ax", BigInt(nr)).set("ax", BigInt(-code)).set("ip", IP);
}

Deno.test("imageRegisters() goes back to the syscall instruction for calls that are made again", () => {
  for (const code of [Errno.ERESTARTSYS, Errno.ERESTARTNOINTR, Errno.ERESTARTNOHAND]) {
    const image = imageRegisters(interrupted(SYSCALLS.read, code));
    equal(image.get("ax"), BigInt(SYSCALLS.read));
    equal(image.get("orig_ax"), BigInt(SYSCALLS.read));
    equal(image.get("ip"), IP - 2n);
  }
});

Deno.test("imageRegisters() leaves a thread that is in no call where it is", () => {
  const running = new Registers().set("orig_ax", -1n).set("ax", BigInt(-Errno.ERESTARTSYS)).set(
    "ip",
    IP,
  );
  deepEqual(imageRegisters(running).words, running.words);
});

Deno.test("imageRegisters() forgets the number of a call that is over", () => {
  // read() gave 0 bytes: the result looks like its own number.
  const over = new Registers().set("orig_ax", 0n).set("ax", 0n).set("ip", IP);
  const image = imageRegisters(over);
  equal(image.get("orig_ax"), (1n << 64n) - 1n);
  equal(image.get("ip"), IP);
});

Deno.test("imageRegisters() makes a sleep again with the time that is left", () => {
  const sleep = interrupted(SYSCALLS.nanosleep, Errno.ERESTART_RESTARTBLOCK)
    .set("di", 0x1000n).set("si", 0x2000n);
  equal(imageRegisters(sleep).get("di"), 0x2000n);
  equal(imageRegisters(sleep).get("ax"), BigInt(SYSCALLS.nanosleep));

  const clock = interrupted(SYSCALLS.clock_nanosleep, Errno.ERESTART_RESTARTBLOCK)
    .set("dx", 0x1000n).set("r10", 0x2000n);
  equal(imageRegisters(clock).get("dx"), 0x2000n);
  equal(imageRegisters(clock).get("ip"), IP - 2n);
});

Deno.test("imageRegisters() makes other calls of the restart block again as they were", () => {
  for (
    const call of [
      interrupted(SYSCALLS.nanosleep, Errno.ERESTART_RESTARTBLOCK).set("di", 0x1000n),
      interrupted(SYSCALLS.clock_nanosleep, Errno.ERESTART_RESTARTBLOCK).set("dx", 0x1000n),
      interrupted(SYSCALLS.poll, Errno.ERESTART_RESTARTBLOCK).set("dx", 1500n),
      interrupted(SYSCALLS.futex, Errno.ERESTART_RESTARTBLOCK).set("si", 128n),
    ]
  ) {
    const wanted = call.copy().set("ax", call.get("orig_ax")).set("ip", IP - 2n);
    deepEqual(imageRegisters(call).words, wanted.words);
  }
});

Deno.test("imageRegisters() ends a restarted call with EINTR unless it is known which it was", () => {
  const call = interrupted(SYSCALLS.restart_syscall, Errno.ERESTART_RESTARTBLOCK).set(
    "r10",
    0x2000n,
  );
  const lost = imageRegisters(call);
  equal(lost.get("ax"), BigInt.asUintN(64, BigInt(-Errno.EINTR)));
  equal(lost.get("ip"), IP);

  const found = imageRegisters(call, BigInt(SYSCALLS.clock_nanosleep));
  equal(found.get("ax"), BigInt(SYSCALLS.clock_nanosleep));
  equal(found.get("orig_ax"), BigInt(SYSCALLS.clock_nanosleep));
  equal(found.get("dx"), 0x2000n);
  equal(found.get("ip"), IP - 2n);
});

Deno.test("originalCall() tells the four calls apart by where they wait", () => {
  const clock = new Registers().set("di", 1n), request = new Registers().set("di", 0x7ffe0000n);
  equal(originalCall("futex_wait_queue", clock), BigInt(SYSCALLS.futex));
  equal(originalCall("do_sys_poll", request), BigInt(SYSCALLS.poll));
  equal(originalCall("hrtimer_nanosleep", clock), BigInt(SYSCALLS.clock_nanosleep));
  equal(originalCall("hrtimer_nanosleep", request), BigInt(SYSCALLS.nanosleep));
  equal(originalCall("pipe_read", request), undefined);
});

Deno.test("liveRegisters() undoes imageRegisters() with the restart code of the call", () => {
  for (
    const [nr, code] of [
      [SYSCALLS.read, Errno.ERESTARTSYS],
      [SYSCALLS.pause, Errno.ERESTARTNOHAND],
      [SYSCALLS.clone3, Errno.ERESTARTNOINTR],
    ] as const
  ) {
    const before = interrupted(nr, code);
    deepEqual(liveRegisters(imageRegisters(before), SYSCALL).words, before.words);
  }
});

Deno.test("liveRegisters() restarts nothing that is not at a syscall instruction", () => {
  // An image of CRIU keeps orig_ax: a read() of 0 bytes, and then other code.
  const criu = new Registers().set("orig_ax", 0n).set("ax", 0n).set("ip", IP);
  for (const code of [new Uint8Array([0x48, 0x89]), undefined]) {
    const live = liveRegisters(criu, code);
    equal(live.get("ax"), 0n);
    equal(live.get("ip"), IP);
    equal(live.get("orig_ax"), (1n << 64n) - 1n);
  }
});

Deno.test("waitingAgain() has waits for semaphores made again that a stop has ended", () => {
  const semop = waitingAgain(interrupted(SYSCALLS.semop, Errno.EINTR));
  equal(semop?.get("ax"), BigInt.asUintN(64, BigInt(-Errno.ERESTARTNOHAND)));
  const timed = interrupted(SYSCALLS.semtimedop, Errno.EINTR);
  equal(waitingAgain(timed)?.get("orig_ax"), BigInt(SYSCALLS.semtimedop));
  equal(waitingAgain(timed.copy().set("r10", 0x1000n)), undefined);
  equal(waitingAgain(interrupted(SYSCALLS.semop, Errno.EAGAIN)), undefined);
  equal(waitingAgain(interrupted(SYSCALLS.read, Errno.EINTR)), undefined);
  equal(waitingAgain(interrupted(SYSCALLS.semop, Errno.EINTR).set("orig_ax", -1n)), undefined);
});
