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
