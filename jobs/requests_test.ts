import { equal } from "@std/assert";
import { Requests } from "./requests.ts";

Deno.test("Requests.end() ends a save that is under way, and each that comes after it", async () => {
  using requests = new Requests(() => {});
  const signal = requests.abortedByStop();
  equal(signal.aborted, false);
  requests.end();
  equal(signal.aborted, true);
  equal(requests.hasEnded, true);
  equal(requests.abortedByStop().aborted, true);
  equal(await requests.next(0), "ended");
});
