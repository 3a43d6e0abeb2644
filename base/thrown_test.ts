import { deepEqual, equal } from "@std/assert";
import { StasisError } from "./errors.ts";
import { asStasisError, machineError } from "./thrown.ts";

function thrownBy(act: () => unknown): StasisError {
  try {
    act();
  } catch (error) {
    return asStasisError(error);
  }
  throw new Error("nothing was thrown");
}

Deno.test("asStasisError() keeps the first error and tells what failed afterwards", () => {
  const error = thrownBy(() => {
    using stack = new DisposableStack();
    stack.defer(() => {
      throw new Error("second undo");
    });
    stack.defer(() => {
      throw new Error("first undo");
    });
    throw new StasisError("io", "the disk is full", { hint: "make room", pid: 7 });
  });
  deepEqual([error.code, error.message, error.pid], ["io", "the disk is full", 7]);
  equal(error.hint, "make room; undoing it failed too: first undo; second undo");
});

Deno.test("asStasisError() knows what the machine refused, also where undoing failed too", () => {
  const error = thrownBy(() => {
    using stack = new DisposableStack();
    stack.defer(() => Deno.removeSync("/proc/self/nothing"));
    Deno.writeTextFileSync("/proc/self", "");
  });
  deepEqual([error.code, error.errno, error.exitStatus], ["io", "EISDIR", 10]);
  equal(error.hint?.startsWith("undoing it failed too: No such file"), true, error.hint);
});

Deno.test("asStasisError() takes no answer of the machine for a defect, whatever it is", () => {
  const acts = [
    () => Deno.readFileSync("/nowhere/at all"),
    () => Deno.readFileSync("/"),
    () => Deno.mkdirSync("/proc/x"),
    () => Deno.openSync("/proc/version/x"),
    () => Deno.readLinkSync(`/${"n".repeat(300)}`),
    () => Deno.renameSync("/proc/self/stat", "/proc/self/x"),
    () => Deno.removeSync("/proc"),
  ];
  for (const act of acts) {
    const { code, message } = thrownBy(act);
    equal(code, "io", message);
  }
  for (const number of [5, 12, 19, 23, 112, 123]) {
    const error = asStasisError(new Error(`Something (os error ${number}): open '/x'`));
    equal(error.code, "io");
    equal(error.message.startsWith("cannot open '/x': "), true, error.message);
  }
});

Deno.test("asStasisError() calls everything else a defect, and leaves its own errors alone", () => {
  const cancelled = new StasisError("cancelled", "cancelled");
  equal(asStasisError(cancelled), cancelled);
  for (const defect of [new TypeError("x is undefined"), new RangeError("too long"), "text"]) {
    const error = asStasisError(defect);
    deepEqual([error.code, error.exitStatus, error.cause], ["internal", 1, defect]);
  }
});

Deno.test("machineError() names what was tried, by its number where Deno has no name for it", () => {
  const error = (message: string, code?: string) => Object.assign(new Error(message), { code });
  const full = machineError(error("Cannot allocate memory (os error 12): open '/x'", "ENOMEM"));
  deepEqual([full?.message, full?.code], ["cannot open '/x': ENOMEM", "io"]);
  const many = "Too many open files in system (os error 23): readfile '/proc/sysvipc/sem'";
  equal(machineError(error(many))?.errno, "ENFILE");
  equal(machineError(error("Permission denied (os error 13)"))?.errno, "EACCES");
  equal(machineError(error("Bad file descriptor (os error 9): read", "EBADF")), undefined);
  equal(machineError(error("Invalid argument (os error 22): read")), undefined);
});
