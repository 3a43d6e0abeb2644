import assert from "@std/assert";
import { pause } from "../pause.ts";
import { Errno } from "../errno.ts";
import { cString } from "../libc_ffi.ts";
import { type AsideCall, callAside } from "./aside_ffi.ts";
import { SYSCALLS } from "./syscalls.ts";

/** The result, without a turn of the event loop. */
function wait(call: AsideCall): bigint {
  const end = performance.now() + 10_000;
  while (performance.now() < end) {
    const result = call.result();
    if (result !== undefined) return result;
    pause(1);
  }
  throw new Error("it does not come back");
}

Deno.test("callAside() gives what the call gives, and the negative errno where it failed", () => {
  const bytes = new Uint8Array(120);
  assert.equal(wait(callAside(SYSCALLS.statfs, cString("/proc"), bytes)), 0n);
  // PROC_SUPER_MAGIC
  assert.equal(new BigUint64Array(bytes.buffer)[0], 0x9fa0n);
  const missing = callAside(SYSCALLS.statfs, cString("/proc/nothing"), bytes);
  assert.equal(wait(missing), -BigInt(Errno.ENOENT));
});

Deno.test("callAside() leaves the caller alone while the call waits", async () => {
  const moment = new Uint8Array(new BigInt64Array([0n, 100_000_000n]).buffer);
  const begin = performance.now();
  const call = callAside(SYSCALLS.nanosleep, moment, 0n);
  assert.equal(call.result(), undefined);
  assert.ok(performance.now() - begin < 90);
  assert.equal(wait(call), 0n);
  await new Promise((resolve) => setTimeout(resolve, 10));
});
