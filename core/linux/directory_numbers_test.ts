import { deepEqual, throws } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { readNumbers } from "./directory_numbers.ts";

Deno.test("readNumbers() gives the numbers of a directory, ascending, and no other names", () => {
  const path = Deno.makeTempDirSync({ prefix: "stasis-numbers-" });
  using _ = { [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
  const numbers = Array.from({ length: 1500 }, (_, index) => index * 37);
  for (const name of [...numbers, "x", "1x", "-1", "x1", "1.5"]) {
    Deno.writeFileSync(`${path}/${name}`, new Uint8Array());
  }
  deepEqual(readNumbers(path), numbers);
});

Deno.test("readNumbers() says why a directory cannot be read", () => {
  for (const [path, errno] of [["/proc/self/none", "ENOENT"], ["/proc/self/comm", "ENOTDIR"]]) {
    throws(
      () => readNumbers(path as string),
      (error: unknown) => error instanceof StasisError && error.errno === errno,
    );
  }
});
