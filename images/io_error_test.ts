import { deepEqual, equal } from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { errnoOf, ioError, machineError } from "./io_error.ts";

Deno.test("ioError() names what was tried, the errno and what to do", () => {
  const full = Object.assign(new Error("No space left on device (os error 28)"), {
    code: "ENOSPC",
  });
  const error = ioError("write /x/core-1.img", full);
  deepEqual([error.code, error.message, error.errno], [
    "io",
    "Cannot write /x/core-1.img: ENOSPC",
    "ENOSPC",
  ]);
  equal(error.hint, "make room on that file system, or name a directory on another one");
});

Deno.test("errnoOf() finds the errno that the kernel gave", () => {
  try {
    Deno.readFileSync("/proc/self/nothing");
  } catch (error) {
    return equal(errnoOf(error), "ENOENT");
  }
  throw new Error("the file exists");
});

Deno.test("ioError() lets errors pass that say enough", () => {
  const error = new StasisError("exists", "It is there");
  equal(ioError("write", error), error);
  equal(ioError("write /x", new Error("odd")).message, "Cannot write /x: odd");
  equal(errnoOf("text"), undefined);
});

Deno.test("machineError() tells what a machine refuses from defects", () => {
  const error = (message: string, code: string) => Object.assign(new Error(message), { code });
  const full = machineError(error("Cannot allocate memory (os error 12): open '/x'", "ENOMEM"));
  equal(full?.message, "Cannot open '/x': ENOMEM");
  equal(full?.code, "io");
  equal(machineError(error("No such file (os error 2): open '/x'", "ENOENT")), undefined);
  equal(machineError(new TypeError("x is undefined")), undefined);
});

Deno.test("machineError() knows by its number what Deno has no name for", () => {
  const error = new Error(
    "Too many open files in system (os error 23): readfile '/proc/sysvipc/sem'",
  );
  equal(machineError(error)?.errno, "ENFILE");
  equal(machineError(new Error("No such device (os error 19): open '/x'")), undefined);
});
