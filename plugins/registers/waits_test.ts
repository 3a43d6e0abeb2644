import { deepEqual, equal } from "@std/assert";
import { Registers } from "../../core/linux/x86_64/registers.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import {
  afterWait,
  fromTimespec,
  interruptedWait,
  relativeWait,
  toTimespec,
  type Wait,
  waitCall,
  wholeTimeout,
} from "./waits.ts";

const RESTARTBLOCK = -516n;
const args = (...first: bigint[]) => [...first, 0n, 0n, 0n, 0n, 0n, 0n].slice(0, 6);

function inCall(call: number, ...first: bigint[]): Registers {
  const registers = new Registers().set("orig_ax", BigInt(call)).set("ax", RESTARTBLOCK);
  (["di", "si", "dx", "r10", "r8", "r9"] as const).forEach((name, index) =>
    registers.set(name, args(...first)[index] as bigint)
  );
  return registers;
}

Deno.test("relativeWait() knows waits whose timeout counts from their beginning", () => {
  deepEqual(relativeWait(SYSCALLS.nanosleep, args(10n, 20n)), {
    call: SYSCALLS.nanosleep,
    args: args(10n, 20n),
    timeout: 10n,
    remaining: 20n,
  });
  equal(relativeWait(SYSCALLS.clock_nanosleep, args(1n, 0n, 30n))?.timeout, 30n);
  equal(relativeWait(SYSCALLS.clock_nanosleep, args(1n, 1n, 30n)), undefined);
  equal(relativeWait(SYSCALLS.futex, args(5n, 128n, 0n, 40n))?.timeout, 40n);
  equal(relativeWait(SYSCALLS.futex, args(5n, 0n, 0n, 0n)), undefined);
  // FUTEX_WAIT_BITSET is told a point in time.
  equal(relativeWait(SYSCALLS.futex, args(5n, 9n, 0n, 40n)), undefined);
  equal(relativeWait(SYSCALLS.poll, args(5n, 1n, 100n))?.timeout, undefined);
  equal(relativeWait(SYSCALLS.poll, args(5n, 1n, 0xffffffffn)), undefined);
  equal(relativeWait(SYSCALLS.read, args(5n)), undefined);
});

Deno.test("interruptedWait() looks at interrupted calls alone, also at ones restarted before", () => {
  equal(interruptedWait(inCall(SYSCALLS.poll, 5n, 1n, 100n))?.call, SYSCALLS.poll);
  const restarted = inCall(SYSCALLS.restart_syscall, 5n, 1n, 100n);
  equal(interruptedWait(restarted, BigInt(SYSCALLS.poll))?.call, SYSCALLS.poll);
  equal(interruptedWait(restarted), undefined);
  equal(interruptedWait(inCall(SYSCALLS.poll, 5n, 1n, 100n).set("ax", -514n)), undefined);
  equal(interruptedWait(inCall(SYSCALLS.poll, 5n, 1n, 100n).set("orig_ax", -1n)), undefined);
});

Deno.test("wholeTimeout() takes milliseconds, or what stands where the timeout is", () => {
  const poll = relativeWait(SYSCALLS.poll, args(5n, 1n, 100n)) as Wait;
  equal(wholeTimeout(poll, () => 1n), 100_000_000n);
  const sleep = relativeWait(SYSCALLS.nanosleep, args(10n)) as Wait;
  equal(wholeTimeout(sleep, (address) => address === 10n ? 7n : undefined), 7n);
});

Deno.test("fromTimespec() undoes toTimespec(), and takes none that the kernel would not", () => {
  equal(fromTimespec(toTimespec(5_000_000_007n)), 5_000_000_007n);
  equal(fromTimespec(new Uint8Array(new BigInt64Array([1n, 1_000_000_000n]).buffer)), undefined);
  equal(fromTimespec(new Uint8Array(new BigInt64Array([-1n, 0n]).buffer)), undefined);
});

Deno.test("waitCall() makes the call with what is left, and changes nothing else", () => {
  const image = new Registers().set("sp", 0x7000n).set("di", 99n);
  const timeoutOf = (call: number, register: "di" | "dx" | "r10", ...first: bigint[]) => {
    const wait = relativeWait(call, args(...first)) as Wait;
    const registers = waitCall(image, wait, 1_500_000n, 0x6000n);
    equal(registers.get("ax"), BigInt(call));
    equal(registers.get("sp"), 0x7000n);
    return registers.get(register);
  };
  equal(timeoutOf(SYSCALLS.nanosleep, "di", 10n, 20n), 0x6000n);
  equal(timeoutOf(SYSCALLS.clock_nanosleep, "dx", 1n, 0n, 30n), 0x6000n);
  equal(timeoutOf(SYSCALLS.futex, "r10", 5n, 0n, 0n, 40n), 0x6000n);
  equal(timeoutOf(SYSCALLS.poll, "dx", 5n, 1n, 100n), 2n);
});

Deno.test("afterWait() gives the program its own arguments, and the call or its result", () => {
  const wait = relativeWait(SYSCALLS.poll, args(5n, 1n, 100n)) as Wait;
  const live = new Registers().set("dx", 2n).set("ip", 0x1002n).set("ax", -514n).set("orig_ax", 7n);
  const after = (result: bigint) => {
    const registers = afterWait(live, wait, result);
    equal(registers.get("dx"), 100n);
    equal(registers.get("ip"), 0x1002n);
    return [registers.get("orig_ax"), BigInt.asIntN(64, registers.get("ax"))];
  };
  deepEqual(after(RESTARTBLOCK), [7n, RESTARTBLOCK]);
  deepEqual(after(1n), [0xffffffffffffffffn, 1n]);
  deepEqual(after(-110n), [0xffffffffffffffffn, -110n]);
  // Whatever else stood against it: the call is made again by the program itself.
  deepEqual(after(-14n), [7n, -514n]);
});
