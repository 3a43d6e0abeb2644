import assert from "@std/assert";
import { StasisError, withoutSuppressed } from "./errors.ts";

Deno.test("withoutSuppressed() keeps the first error and tells what failed afterwards", () => {
  let caught: StasisError | undefined;
  try {
    using stack = new DisposableStack();
    stack.defer(() => {
      throw new Error("second undo");
    });
    stack.defer(() => {
      throw new Error("first undo");
    });
    throw new StasisError("io", "the disk is full", { hint: "make room", pid: 7 });
  } catch (error) {
    caught = withoutSuppressed(error) as StasisError;
  }
  assert.ok(caught instanceof StasisError, "it is no StasisError");
  assert.deepEqual([caught.code, caught.message, caught.pid], ["io", "the disk is full", 7]);
  assert.equal(caught.hint, "make room; undoing it failed too: first undo; second undo");
});

Deno.test("withoutSuppressed() leaves any other error alone", () => {
  const error = new StasisError("cancelled", "cancelled");
  assert.equal(withoutSuppressed(error), error);
});
