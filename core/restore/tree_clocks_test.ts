import { deepEqual, equal, match, throws } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { clocks_entrySchema } from "../../images/gen/time_pb.ts";
import { CLOCK } from "../linux/clock_numbers.ts";
import { checkClocks, type OwnClocks, TreeClocks } from "./tree_clocks.ts";

const SECOND = 1_000_000_000n;
const NONE = { monotonic: 0n, boottime: 0n };

/** What a tree's clocks said, in seconds. */
function saved(bootId: string, monotonic: bigint, lead?: bigint) {
  const offsets = lead === undefined
    ? undefined
    : { monotonic: lead * SECOND, boottime: lead * SECOND };
  const [mono, boot] = [monotonic * SECOND, (monotonic + 5n) * SECOND];
  return create(clocks_entrySchema, {
    bootId,
    realtime: 1n,
    monotonic: mono,
    boottime: boot,
    offsets,
  });
}

/** What this machine's clocks say, in seconds. */
function own(bootId: string, monotonic: bigint, more: Partial<OwnClocks> = {}): OwnClocks {
  const [mono, boot] = [monotonic * SECOND, (monotonic + 5n) * SECOND];
  const now = { bootId, realtime: 2n, monotonic: mono, boottime: boot };
  return { now, offsets: NONE, ...more };
}

const leads = (seconds: bigint) => ({ monotonic: seconds * SECOND, boottime: seconds * SECOND });

Deno.test("TreeClocks: a tree lives with the machine's clocks while those count on", () => {
  for (const lead of [undefined, 0n]) {
    const clocks = new TreeClocks(saved("a", 100n, lead), own("a", 900n));
    equal(clocks.namespace, undefined);
    equal(clocks.note, undefined);
    equal(clocks.goesOn(CLOCK.MONOTONIC), true);
  }
});

Deno.test("TreeClocks: clocks that would be behind go on from where they were", () => {
  const clocks = new TreeClocks(saved("a", 100n, 0n), own("b", 40n));
  deepEqual(clocks.namespace, leads(60n));
  equal(clocks.goesOn(CLOCK.MONOTONIC), true);
  equal(clocks.note, undefined);
  // Seen from within another time namespace.
  const inside = own("b", 1040n, { offsets: leads(1000n) });
  equal(new TreeClocks(saved("a", 2100n, 0n), inside).namespace?.monotonic, 2060n * SECOND);
});

Deno.test("TreeClocks: clocks that are ahead are left so, and it is said", () => {
  const clocks = new TreeClocks(saved("a", 100n, 0n), own("b", 160n));
  equal(clocks.namespace, undefined);
  equal(clocks.goesOn(CLOCK.BOOTTIME), false);
  equal(clocks.goesOn(CLOCK.REALTIME), true);
  match(clocks.note ?? "", /is 60 s ahead of what the tree has seen/);
});

Deno.test("TreeClocks: a tree gets a time namespace again that it had", () => {
  const before = saved("a", 100_000n, 99_000n);
  deepEqual(new TreeClocks(before, own("a", 1_500n)).namespace, leads(99_000n));
  equal(
    new TreeClocks(before, own("a", 100_500n, { offsets: leads(99_000n) })).namespace,
    undefined,
  );
});

Deno.test("TreeClocks: always and never", () => {
  deepEqual(new TreeClocks(saved("a", 100n, 0n), own("a", 900n), "always").namespace, leads(-800n));
  const never = new TreeClocks(saved("a", 100n, 0n), own("b", 40n), "never");
  equal(never.namespace, undefined);
  match(never.note ?? "", /is 60 s behind what the tree has seen/);
  throws(() => new TreeClocks(undefined, own("a", 900n), "always"), /do not tell/);
});

Deno.test("TreeClocks: where none can be made it is said why", () => {
  const here = own("b", 40n, { obstacle: "this kernel has none" });
  const clocks = new TreeClocks(saved("a", 100n, 0n), here);
  equal(clocks.namespace, undefined);
  match(clocks.note ?? "", /a time namespace would mend that, but this kernel has none/);
  throws(() => new TreeClocks(saved("a", 100n), here, "always"), /this kernel has none/);
});

Deno.test("TreeClocks: images of CRIU say nothing of clocks", () => {
  const clocks = new TreeClocks(undefined, own("a", 900n));
  equal(clocks.namespace, undefined);
  equal(clocks.note, undefined);
  equal(clocks.goesOn(CLOCK.MONOTONIC), false);
});

Deno.test("checkClocks() takes what a clock can say", () => {
  const here = own("a", 2_000n, { offsets: leads(1_500n) });
  for (const before of [saved("a", 1_000n, 900n), saved("a", 1_000n), saved("b", 1_000n, -400n)]) {
    checkClocks(before, here, "clocks.img");
  }
});

Deno.test("checkClocks() refuses readings and offsets that the kernel would not take", () => {
  const here = own("a", 2_000n, { offsets: leads(1_500n) });
  const half = ((1n << 63n) - 1n) / SECOND / 2n;
  for (
    const before of [
      saved("b", half - 1n),
      saved("b", half * 2n),
      // The machine's clock says 500 s by now.
      saved("a", 1_000n, -501n),
      saved("a", 1_000n, half - 501n),
    ]
  ) {
    throws(() => checkClocks(before, here, "clocks.img"), /^StasisError: clocks\.img has CLOCK_/);
  }
});
