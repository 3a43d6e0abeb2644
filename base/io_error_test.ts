import { deepEqual, equal } from "@std/assert";
import { StasisError } from "./errors.ts";
import { errnoOf, ioError } from "./io_error.ts";

Deno.test("ioError() names what was tried, the errno and what to do", () => {
  const full = Object.assign(new Error("No space left on device (os error 28)"), {
    code: "ENOSPC",
  });
  const error = ioError("write /x/core-1.img", full);
  deepEqual([error.code, error.message, error.errno], [
    "io",
    "cannot write /x/core-1.img: ENOSPC",
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

Deno.test("ioError() asks nobody to make what is only read", () => {
  const hint = (what: string, code: string) =>
    ioError(what, Object.assign(new Error(), { code })).hint;
  equal(hint("read /x/core-1.img", "EACCES"), "ask as a user who may read it, or as root");
  equal(hint("write /x/core-1.img", "EACCES"), "name a directory that you may write to");
  equal(hint("list /x", "ENOENT"), undefined);
});

Deno.test("ioError() lets errors pass that say enough", () => {
  const error = new StasisError("exists", "It is there");
  equal(ioError("write", error), error);
  equal(ioError("write /x", new Error("odd")).message, "cannot write /x: odd");
  equal(errnoOf("text"), undefined);
});
