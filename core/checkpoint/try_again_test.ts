import { equal, rejects } from "@std/assert";
import { StasisError } from "../../base/errors.ts";
import { tryAgain } from "./try_again.ts";

/** How often something is tried whose problems pass or do not. */
async function attempts(passing: readonly boolean[], signal = new AbortController().signal) {
  let count = 0;
  const problems = passing.map((passing) => ({ plugin: "test", what: "it is so", passing }));
  const attempt = () => {
    count++;
    return Promise.reject(new StasisError("unsupported", "it cannot be done", { problems }));
  };
  await rejects(() => tryAgain(attempt, signal), StasisError, "it cannot be done");
  return count;
}

Deno.test("tryAgain() goes on as long as all that stands against it passes, for a while", async () => {
  equal(await attempts([true, true]), 5);
  equal(await attempts([true, false]), 1);
  equal(await attempts([]), 1);
  equal(await attempts([true], AbortSignal.abort()), 1);
});

Deno.test("tryAgain() returns what an attempt returns", async () => {
  let count = 0;
  const problems = [{ plugin: "test", what: "it is so", passing: true }];
  const attempt = async () => {
    if (++count < 3) throw new StasisError("unsupported", "it cannot be done", { problems });
    return await Promise.resolve("done");
  };
  equal(await tryAgain(attempt, new AbortController().signal), "done");
});
