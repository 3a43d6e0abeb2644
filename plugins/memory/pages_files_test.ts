import { deepEqual } from "@std/assert";
import { PE_PARENT, PE_PRESENT } from "../../images/mod.ts";
import {
  cutPieces,
  layOutShared,
  ownPieces,
  pagemapEntries,
  partPieces,
  type Piece,
} from "./pages_files.ts";
import type { Run } from "./runs.ts";

const page = 4096n;
const run = (start: bigint, pages: bigint): Run => ({ start: start * page, size: pages * page });
const own = (start: bigint, pages: bigint, readable = true) => ({
  run: run(start, pages),
  readable,
});
const piece = (start: bigint, pages: bigint, offset: bigint, readable = true): Piece => ({
  ...own(start, pages, readable),
  offset: offset * page,
});
const entry = (start: bigint, nrPages: number, flags: number) => ({
  vaddr: start * page,
  nrPages,
  flags,
});

Deno.test("layOutShared() has each page written once, by the first task that has it", () => {
  const pages = new Map([
    ["a", [own(0n, 9n)]],
    ["b", [own(2n, 3n, false), own(5n, 9n)]],
    ["c", [own(0n, 20n)]],
  ]);
  const runs = [
    { ...run(1n, 2n), tasks: [0, 2] },
    { ...run(4n, 3n), tasks: [1, 2] },
    { ...run(7n, 1n), tasks: [0, 1] },
  ];
  deepEqual(layOutShared([...pages.keys()], runs, (task) => pages.get(task) ?? []), {
    entries: [entry(1n, 2, PE_PRESENT), entry(4n, 4, PE_PRESENT)],
    shared: new Map([
      ["a", [run(1n, 2n), run(7n, 1n)]],
      ["c", [run(1n, 2n), run(4n, 3n)]],
      ["b", [run(4n, 4n)]],
    ]),
    parts: [
      { task: "a", pieces: [piece(1n, 2n, 0n), piece(7n, 1n, 5n)] },
      { task: "b", pieces: [piece(4n, 1n, 2n, false), piece(5n, 2n, 3n)] },
    ],
    size: 6n * page,
  });
});

Deno.test("ownPieces() leaves out what is shared, and no place in the file", () => {
  const pages = [own(0n, 4n), own(4n, 2n, false), own(10n, 1n), own(20n, 2n)];
  deepEqual(ownPieces(pages, [run(1n, 1n), run(3n, 2n), run(10n, 1n), run(21n, 1n)]), [
    piece(0n, 1n, 0n),
    piece(2n, 1n, 1n),
    piece(5n, 1n, 2n, false),
    piece(20n, 1n, 3n),
  ]);
  deepEqual(ownPieces(pages, [run(0n, 30n)]), []);
  deepEqual(ownPieces([own(3n, 2n)], []), [piece(3n, 2n, 0n)]);
});

Deno.test("pagemapEntries() are in the order of addresses, one for what follows each other in the parent", () => {
  const inParent = [run(1n, 3n), run(4n, 1n), run(7n, 1n)];
  deepEqual(pagemapEntries([run(0n, 1n), run(5n, 2n)], inParent), [
    entry(0n, 1, PE_PRESENT),
    entry(1n, 4, PE_PARENT),
    entry(5n, 2, PE_PRESENT),
    entry(7n, 1, PE_PARENT),
  ]);
});

Deno.test("cutPieces() joins in a call what lies one behind the other and is readable alike", () => {
  const { direct, indirect } = cutPieces(
    [piece(0n, 1n, 0n), piece(4n, 1n, 1n), piece(5n, 1n, 2n, false), piece(9n, 3n, 7n)],
    2n * page,
  );
  deepEqual(direct, [
    { runs: [run(0n, 1n), run(4n, 1n)], offset: 0n, size: 2n * page },
    { runs: [run(9n, 2n)], offset: 7n * page, size: 2n * page },
    { runs: [run(11n, 1n)], offset: 9n * page, size: page },
  ]);
  deepEqual(indirect, [{ runs: [run(5n, 1n)], offset: 2n * page, size: page }]);
});

Deno.test("partPieces() cuts pieces where ranges begin and end, and keeps their places in the file", () => {
  const ranges = [run(0n, 1n), run(2n, 1n), run(4n, 10n), run(30n, 1n)];
  deepEqual(
    partPieces([piece(1n, 5n, 100n), piece(6n, 2n, 105n), piece(12n, 4n, 107n, false)], ranges),
    {
      within: [
        piece(2n, 1n, 101n),
        piece(4n, 2n, 103n),
        piece(6n, 2n, 105n),
        piece(12n, 2n, 107n, false),
      ],
      outside: [piece(1n, 1n, 100n), piece(3n, 1n, 102n), piece(14n, 2n, 109n, false)],
    },
  );
  // In the order of the file, not of the addresses.
  deepEqual(partPieces([piece(30n, 1n, 0n), piece(2n, 2n, 1n)], ranges), {
    within: [piece(30n, 1n, 0n), piece(2n, 1n, 1n)],
    outside: [piece(3n, 1n, 2n)],
  });
  deepEqual(partPieces([piece(1n, 5n, 0n)], []), { within: [], outside: [piece(1n, 5n, 0n)] });
});
