import assert from "@std/assert";
import { StasisError } from "../base/errors.ts";
import { Cancellation, watchForCancellation } from "./cancellation.ts";

function codeOf(action: () => void): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof StasisError) return error.code;
    throw error;
  }
}

Deno.test("Cancellation looks at its sources, until they are disposed of", () => {
  const controller = new AbortController();
  const cancellation = new Cancellation(controller.signal);
  {
    using _ = watchForCancellation(() => {});
    assert.equal(codeOf(() => cancellation.check()), undefined);
  }
  {
    using _ = watchForCancellation(() => controller.abort());
  }
  assert.equal(codeOf(() => cancellation.check()), undefined);
  using _ = watchForCancellation(() => controller.abort());
  assert.equal(codeOf(() => cancellation.check()), "cancelled");
});

Deno.test("Cancellation throws the error of its limit when time is over, and no later than that ends", () => {
  const cancellation = new Cancellation(new AbortController().signal);
  const late = () => new StasisError("timeout", "late");
  {
    using _ = cancellation.limit(-1, late);
    assert.equal(codeOf(() => cancellation.check()), "timeout");
    assert.equal(codeOf(() => cancellation.throwIfCancelled()), undefined);
  }
  assert.equal(codeOf(() => cancellation.check()), undefined);
  using _ = cancellation.limit(Infinity, late);
  assert.equal(codeOf(() => cancellation.check()), undefined);
});

Deno.test("Cancellation lets events run where the last turn was long ago", async () => {
  const controller = new AbortController();
  const cancellation = new Cancellation(controller.signal);
  setTimeout(() => controller.abort(), 0);
  const end = performance.now() + 10_000;
  await assert.rejects(async () => {
    while (performance.now() < end) await cancellation.breathe();
  }, { code: "cancelled" });
});

Deno.test("Cancellation gives one time of grace to all that is under way", () => {
  const cancellation = new Cancellation(new AbortController().signal);
  const first = cancellation.grace;
  assert.ok(first > 0 && first <= 300);
  assert.ok(cancellation.grace <= first);
});
