import { deepEqual } from "@std/assert";
import type { Vma } from "../../core/linux/procfs/mod.ts";
import { givenUp, uncopied } from "./uncopied.ts";

const vma = (page: number, flags: string, more: Partial<Vma> = {}): Vma => ({
  start: BigInt(page) * 4096n,
  end: BigInt(page + 1) * 4096n,
  shared: false,
  name: "",
  deleted: false,
  flags: new Set(flags.split(" ")),
  ...more,
} as Vma);
const run = (page: number, pages = 1) => ({
  start: BigInt(page) * 4096n,
  size: BigInt(pages) * 4096n,
});

Deno.test("uncopied() is what a child of fork has not, has emptied, or has in common with its parent", () => {
  const vmas = [
    vma(1, "rd wr mr mw me ac"),
    vma(2, "rd wr dc"),
    vma(3, "rd wr wf"),
    vma(5, "rd wr", { shared: true }),
    vma(7, "rd wr ht"),
    vma(9, "rd io pf dc", { name: "[vvar]" }),
  ];
  deepEqual(uncopied(vmas), [run(2, 2), run(5), run(7)]);
  // What it has not it cannot give up: something else may lie there.
  deepEqual(givenUp(vmas), [run(3), run(5), run(7)]);
});
