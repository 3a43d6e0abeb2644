import { deepEqual } from "@std/assert";
import { remoteAddress } from "../../core/linux/address.ts";
import { PageIs, type PageRegion, parseSmaps, type Vma } from "../../core/linux/procfs/mod.ts";
import { savedPages } from "./pages.ts";
import type { Run } from "./runs.ts";

const page = 4096n;
const run = (start: bigint, pages: bigint): Run => ({ start: start * page, size: pages * page });
const region = (start: bigint, pages: bigint, categories: number): PageRegion => ({
  start: remoteAddress(start * page),
  end: remoteAddress((start + pages) * page),
  categories,
});

/** Mappings of so many pages each, one behind the other from page 1 on. */
function mappings(...all: { pages: number; prot?: string; name?: string; flags?: string }[]) {
  let at = 1;
  const text = all.map(({ pages, prot = "rw-p", name = "", flags = "rd" }) => {
    const range = [at, at += pages].map((one) => (one * 4096).toString(16)).join("-");
    return `${range} ${prot} 00000000 00:00 0 ${name}\nVmFlags: ${flags} \n`;
  });
  return parseSmaps(new TextEncoder().encode(text.join(""))) as Vma[];
}

const { PRESENT, SWAPPED, FILE, PFNZERO, GUARD, SOFT_DIRTY } = PageIs;

Deno.test("savedPages() leaves out zero pages, pages of files and guards", () => {
  const { runs, guards } = savedPages(mappings({ pages: 10 }), [
    region(1n, 1n, PRESENT),
    region(2n, 1n, SWAPPED),
    region(3n, 1n, PRESENT | FILE),
    region(4n, 1n, PRESENT | PFNZERO),
    region(5n, 1n, SWAPPED | GUARD),
    region(6n, 2n, PRESENT | SOFT_DIRTY),
  ]);
  deepEqual(runs, [
    { run: run(1n, 2n), readable: true },
    { run: run(6n, 2n), readable: true },
  ]);
  deepEqual(guards, [run(5n, 1n)]);
});

Deno.test("savedPages() joins neighbours, but not what may be read with what may not", () => {
  const { runs } = savedPages(mappings({ pages: 2 }, { pages: 2 }, { pages: 1, prot: "---p" }), [
    region(1n, 2n, PRESENT),
    region(3n, 2n, PRESENT),
    region(5n, 1n, PRESENT),
  ]);
  deepEqual(runs, [
    { run: run(1n, 4n), readable: true },
    { run: run(5n, 1n), readable: false },
  ]);
});

Deno.test("savedPages() takes the vDSO whole, and nothing of shared and droppable memory", () => {
  const { runs, guards } = savedPages(
    mappings(
      { pages: 1, prot: "rw-s" },
      { pages: 2, flags: "rd dp" },
      { pages: 2, prot: "r-xp", name: "[vdso]" },
      { pages: 1 },
    ),
    [
      region(1n, 1n, PRESENT),
      region(2n, 1n, PRESENT),
      region(3n, 1n, SWAPPED | GUARD),
      region(6n, 1n, PRESENT),
    ],
  );
  deepEqual(runs, [{ run: run(4n, 3n), readable: true }]);
  deepEqual(guards, [run(3n, 1n)]);
});
