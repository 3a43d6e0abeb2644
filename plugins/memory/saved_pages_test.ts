import { deepEqual, equal, throws } from "@std/assert";
import { PE_PARENT, PE_PRESENT } from "../../images/mod.ts";
import { ContentFinder, readTransfers, savedRuns, uncovered, withoutHoles } from "./saved_pages.ts";

const page = 4096n;
const entry = (at: bigint, nrPages: number, flags = PE_PRESENT) => ({
  vaddr: at * page,
  nrPages,
  flags,
});
const saved = (start: bigint, pages: bigint, offset: bigint, file = "pages-1.img") => ({
  start: start * page,
  size: pages * page,
  pages: file,
  offset: offset * page,
});
const places = { file: "pagemap-7.img", pages: "pages-1.img" };

Deno.test("savedRuns() counts the places in the pages file, only for pages that are in it", () => {
  const entries = [entry(1n, 2), entry(5n, 3, 0), entry(9n, 1)];
  deepEqual(savedRuns({ entries }, places), [saved(1n, 2n, 0n), saved(9n, 1n, 2n)]);
});

Deno.test("savedRuns() finds pages in a parent, as its runs have them", () => {
  const parent = [
    saved(1n, 4n, 0n, "parent"),
    saved(5n, 2n, 9n, "parent"),
    saved(20n, 1n, 11n, "parent"),
  ];
  const entries = [entry(2n, 4, PE_PARENT), entry(6n, 1), entry(20n, 1, PE_PARENT)];
  deepEqual(savedRuns({ entries }, { ...places, parent }), [
    saved(2n, 3n, 1n, "parent"),
    saved(5n, 1n, 9n, "parent"),
    saved(6n, 1n, 0n),
    saved(20n, 1n, 11n, "parent"),
  ]);
});

Deno.test("savedRuns() refuses pages in no parent, overlaps and addresses between pages", () => {
  const refused = (
    entries: ReturnType<typeof entry>[],
    code: string,
    parent?: ReturnType<typeof saved>[],
  ) =>
    throws(
      () => savedRuns({ entries }, { ...places, parent }),
      (error: Error & { code?: string }) =>
        error.code === code && error.message.includes("pagemap-7"),
    );
  refused([entry(1n, 1, PE_PARENT)], "bad-image");
  refused([entry(1n, 3, PE_PARENT)], "bad-image", [saved(1n, 2n, 0n)]);
  refused([entry(1n, 3, PE_PARENT)], "bad-image", [saved(2n, 2n, 0n)]);
  refused([entry(1n, 3, PE_PARENT)], "bad-image", [saved(1n, 1n, 0n), saved(3n, 1n, 1n)]);
  refused([entry(1n, 2), entry(2n, 1)], "bad-image");
  refused([{ vaddr: 5n, nrPages: 1, flags: PE_PRESENT }], "bad-image");
});

Deno.test("uncovered() leaves what no other run covers", () => {
  const others = [saved(0n, 2n, 0n), saved(3n, 1n, 3n), saved(6n, 9n, 6n)];
  const all = uncovered([saved(1n, 8n, 0n), saved(20n, 1n, 8n)], others, () => true);
  deepEqual(all, [saved(2n, 1n, 1n), saved(4n, 2n, 3n), saved(20n, 1n, 8n)]);
  const none = uncovered([saved(1n, 8n, 0n)], others, () => false);
  deepEqual(none, [saved(1n, 8n, 0n)]);
  const some = uncovered([saved(1n, 8n, 0n)], others, (_, { start }) => start === 3n * page);
  deepEqual(some, [saved(1n, 2n, 0n), saved(4n, 5n, 3n)]);
  const within = uncovered([saved(1n, 1n, 0n), saved(3n, 2n, 1n)], [saved(0n, 9n, 0n)], () => true);
  deepEqual(within, []);
});

Deno.test("withoutHoles() cuts ranges out and keeps the places of the rest", () => {
  const hole = (start: bigint, end: bigint) => ({ start: start * page, end: end * page });
  deepEqual(withoutHoles([saved(1n, 8n, 0n)], [hole(0n, 2n), hole(4n, 5n), hole(8n, 20n)]), [
    saved(2n, 2n, 1n),
    saved(5n, 3n, 4n),
  ]);
  deepEqual(withoutHoles([saved(1n, 2n, 0n)], [hole(5n, 6n)]), [saved(1n, 2n, 0n)]);
  deepEqual(withoutHoles([saved(1n, 2n, 0n)], [hole(1n, 3n)]), []);
});

Deno.test("readTransfers() joins runs only where the file has them one behind the other", () => {
  const transfers = readTransfers(
    [saved(1n, 2n, 0n), saved(8n, 3n, 2n), saved(20n, 1n, 9n)],
    4n * page,
  );
  deepEqual(
    transfers.map(({ offset, size, runs }) => [offset / page, size / page, runs.length]),
    [[0n, 4n, 2], [4n, 1n, 1], [9n, 1n, 1]],
  );
  equal(transfers[1]?.runs[0]?.start, 10n * page);
});

Deno.test("ContentFinder.has() answers for ascending ranges, touching ones not included", () => {
  const finder = new ContentFinder([saved(2n, 2n, 0n), saved(10n, 1n, 2n)]);
  const has = (start: bigint, end: bigint) => finder.has(start * page, end * page);
  deepEqual([has(0n, 2n), has(2n, 3n), has(3n, 4n), has(4n, 10n), has(9n, 20n), has(20n, 30n)], [
    false,
    true,
    true,
    false,
    true,
    false,
  ]);
});
