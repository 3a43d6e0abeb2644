import { equal, match } from "@std/assert";
import { clockNote } from "./moved.ts";

const BEFORE = { bootId: "a", realtime: 0n, monotonic: 100_000_000_000n, boottime: 0n };

Deno.test("clockNote() says nothing of a gap, and how far a clock is off that began anew", () => {
  equal(clockNote(BEFORE, { ...BEFORE, monotonic: 900_000_000_000n }), undefined);
  const after = (monotonic: bigint) => clockNote(BEFORE, { ...BEFORE, bootId: "b", monotonic });
  match(after(40_000_000_000n) ?? "", /is 60 s behind what the tree has seen/);
  match(after(160_000_000_000n) ?? "", /is 60 s ahead of what the tree has seen/);
  match(clockNote(BEFORE, { ...BEFORE, monotonic: 1n }) ?? "", /is 99 s behind/);
});
