import { equal, throws } from "@std/assert";
import { explainNoPages } from "../../core/restore/no_huge_pages.ts";
import { asksForReserved, pageSizeOf, parseUsualPageSize, sizeFlag } from "./huge_pages.ts";

Deno.test("sizeFlag() says a size as MAP_HUGE_2MB and MAP_HUGE_1GB do, and pageSizeOf() reads it", () => {
  equal(sizeFlag(2 << 20), 21 << 26);
  equal(sizeFlag(1 << 30), 30 << 26);
  for (const size of [65536, 2 << 20, 1 << 30]) {
    equal(pageSizeOf(sizeFlag(size) | 0x40022), BigInt(size));
  }
  equal(pageSizeOf(0x40022, () => 1n << 30n), 1n << 30n);
});

Deno.test("asksForReserved() looks at MAP_HUGETLB, and explainNoPages() at ENOMEM", () => {
  equal(asksForReserved(0x40022), true);
  equal(asksForReserved(0x22), false);
  equal(explainNoPages("ENOMEM")?.code, "conflict");
  equal(explainNoPages("EEXIST"), undefined);
});

Deno.test("parseUsualPageSize() takes what the machine says, and none for none", () => {
  equal(parseUsualPageSize("HugePages_Surp:        0\nHugepagesize:    1048576 kB\n"), 1n << 30n);
  throws(() => parseUsualPageSize("MemTotal: 1 kB\n"), { code: "conflict" });
});
