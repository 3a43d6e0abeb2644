import { deepEqual } from "@std/assert";
import { rseqAction } from "./rseq.ts";

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
