import { deepEqual, equal, ok, throws } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { readFile } from "./read_file.ts";

Deno.test("readFile() reads files of every size", () => {
  const path = Deno.makeTempFileSync({ prefix: "stasis-read-" });
  using _ = { [Symbol.dispose]: () => Deno.removeSync(path) };
  for (const size of [0, 1, 4095, 4096, 4097, 8192, 8193, 300_000]) {
    const bytes = Uint8Array.from({ length: size }, (_, index) => index * 7);
    Deno.writeFileSync(path, bytes);
    deepEqual(readFile(path), bytes);
  }
});

Deno.test("readFile() reads files that have no size, and says why one cannot be read", () => {
  ok(readFile("/proc/self/maps").byteLength > 0);
  equal(
    new TextDecoder().decode(readFile("/proc/self/comm")),
    Deno.readTextFileSync("/proc/self/comm"),
  );
  throws(
    () => readFile("/proc/self/none"),
    (error: unknown) => error instanceof StasisError && error.errno === "ENOENT",
  );
  throws(
    () => readFile("/proc/self/fd"),
    (error: unknown) => error instanceof StasisError && error.errno === "EISDIR",
  );
});
