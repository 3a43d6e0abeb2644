import { equal } from "@std/assert";
import { CallBatch } from "./call_batch_ffi.ts";

Deno.test("CallBatch makes all its calls, with the arguments that it has then", () => {
  const buffer = new Uint8Array(4);
  const batch = new CallBatch([
    { name: "getpid", args: [] },
    { name: "close", args: [-1] },
    { name: "getrandom", args: [buffer, 4, 0] },
  ]);
  batch.run();
  equal(batch.result(0), BigInt(Deno.pid));
  equal(batch.result(1), -9n);
  equal(batch.result(2), 4n);
  batch.setArgument(2, 1, 3n);
  batch.run();
  equal(batch.result(2), 3n);
});

Deno.test("CallBatch gives a call what an earlier one has returned", () => {
  const buffer = new Uint8Array(4);
  const path = new TextEncoder().encode("/proc/self/stat\0");
  const batch = new CallBatch([
    { name: "openat", args: [-100, path, 0, 0] },
    { from: 0, to: 2, position: 0 },
    { name: "read", args: [-1, buffer, 4] },
    { from: 0, to: 4, position: 0 },
    { name: "close", args: [-1] },
  ]);
  for (let round = 0; round < 2; round++) {
    buffer.fill(0);
    batch.run();
    equal(batch.result(2), 4n);
    equal(batch.result(4), 0n);
    equal(new TextDecoder().decode(buffer), String(Deno.pid).padEnd(4).slice(0, 4));
  }
});
