import { equal, ok } from "@std/assert";
import { CostMeter, hiddenMessages, mayCut } from "./hidden.ts";

const cost = (length: number) => length < 100 ? 768 : 1280;

Deno.test("hiddenMessages() finds empty messages by what the kernel counts for them", () => {
  equal(hiddenMessages(0, [], cost), 0);
  equal(hiddenMessages(768 + 1280, [5, 200], cost), 0);
  equal(hiddenMessages(3 * 768 + 1280, [5, 200], cost), 2);
});

Deno.test("hiddenMessages() counts nothing else for one", () => {
  equal(hiddenMessages(768 + 1280, [5], cost), 0, "sent to somebody outside");
  equal(hiddenMessages(768, [200], cost), 0, "less than is seen");
  equal(hiddenMessages(768, [5], () => undefined), 0);
});

Deno.test("CostMeter.costOf() is the same for a length whenever it is asked", () => {
  using meter = new CostMeter();
  const empty = meter.costOf(0) ?? 0;
  ok(empty > 0);
  ok((meter.costOf(100_000) ?? 0) > 100_000);
  using other = new CostMeter();
  equal(other.costOf(0), empty);
});

Deno.test("mayCut() knows filters that take whole messages or none", () => {
  const returns = (count: bigint): bigint => 0x06n << 48n | count;
  const load = 0x80n << 48n, returnA = 0x16n << 48n;
  equal(mayCut([]), false);
  equal(mayCut([load, returns(0n), returns(0xffffffffn)]), false);
  equal(mayCut([load, returns(0n), returns(32n)]), true);
  equal(mayCut([load, returnA]), true);
});
