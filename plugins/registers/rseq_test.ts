import { deepEqual, equal } from "@std/assert";
import { isWritableArea, rseqAction } from "./rseq.ts";

const section = {
  version: 0,
  flags: 0,
  startIp: 0x1000n,
  postCommitOffset: 0x20n,
  abortIp: 0x3000n,
};

Deno.test("rseqAction() aborts from the first instruction to before the commit's end", () => {
  const area = { flags: 0 };
  deepEqual(rseqAction(0xfffn, area, section), { kind: "none" });
  deepEqual(rseqAction(0x1000n, area, section), { kind: "abort", ip: 0x3000n });
  deepEqual(rseqAction(0x101fn, area, section), { kind: "abort", ip: 0x3000n });
  deepEqual(rseqAction(0x1020n, area, section), { kind: "none" });
});

Deno.test("rseqAction() keeps a section that signals do not abort, by either's flags", () => {
  deepEqual(rseqAction(0x1000n, { flags: 2 }, section), { kind: "keep" });
  deepEqual(rseqAction(0x1000n, { flags: 0 }, { ...section, flags: 2 }), { kind: "keep" });
});

Deno.test("isWritableArea() finds the mapping that has the area", () => {
  const vmas = [
    { start: 0x1000n, end: 0x3000n, prot: 3 },
    { start: 0x3000n, end: 0x4000n, prot: 1 },
    { start: 0x6000n, end: 0x7000n, prot: 3 },
  ];
  const writable = [0xfe0n, 0x1000n, 0x2fe0n, 0x3000n, 0x5fe0n, 0x6020n, 0x7000n, 1n << 63n]
    .map((start) => isWritableArea(start, vmas));
  deepEqual(writable, [false, true, true, false, false, true, false, false]);
  equal(isWritableArea(0n, []), false);
});
