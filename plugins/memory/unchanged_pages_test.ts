import { deepEqual, equal, throws } from "@std/assert";
import type { StasisError } from "../../base/errors.ts";
import type { SavedRun } from "./saved_pages.ts";
import { openPath } from "./open_path.ts";
import { append, PageComparer, savedBefore } from "./unchanged_pages.ts";

const PAGE = 4096;

Deno.test("savedBefore() is what is at the same addresses in both", () => {
  const run = (start: bigint, size: bigint, offset: bigint) => ({
    start,
    size,
    pages: "p",
    offset,
  });
  deepEqual(
    savedBefore(
      [{ start: 0n, size: 8n }, { start: 10n, size: 4n }, { start: 20n, size: 5n }],
      [run(2n, 2n, 0n), run(6n, 6n, 2n), run(13n, 20n, 8n)],
    ),
    [run(2n, 2n, 0n), run(6n, 2n, 2n), run(10n, 2n, 6n), run(13n, 1n, 8n), run(20n, 5n, 15n)],
  );
});

/**
 * Compares pages of a file, of which each holds its number, with others.
 *
 * @param withFile whether the file of what they are now has them
 */
function compare(
  now: readonly number[],
  runs: readonly Omit<SavedRun, "pages">[],
  withFile = true,
): SavedRun[] {
  const directory = Deno.makeTempDirSync({ prefix: "stasis-pages-" });
  const [pages, memory] = [`${directory}/pages`, `${directory}/memory`];
  const bytesOf = (numbers: readonly number[]) => {
    const bytes = new Uint8Array(numbers.length * PAGE);
    numbers.forEach((number, page) => bytes[page * PAGE + 4095] = number);
    return bytes;
  };
  try {
    Deno.writeFileSync(pages, bytesOf(now.map((_, page) => page % 256)));
    Deno.writeFileSync(memory, withFile ? bytesOf(now) : new Uint8Array(0));
    using file = openPath(memory, 0);
    using comparer = new PageComparer(() => {});
    return comparer.unchanged(runs.map((run) => ({ ...run, pages })), {
      fd: file.fd,
      readInto(address, buffer) {
        equal(withFile, false);
        const first = Number(address) / PAGE;
        buffer.set(bytesOf(now.slice(first, first + buffer.length / PAGE)));
      },
    }).map((run) => ({ ...run, pages: "p" }));
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const run = (page: number, count: number) => ({
  start: BigInt(page * PAGE),
  size: BigInt(count * PAGE),
  offset: BigInt(page * PAGE),
});

Deno.test("PageComparer.unchanged() finds pages that are as they were, beyond a window too", () => {
  const now = Array.from({ length: 600 }, (_, page) => page % 256);
  deepEqual(compare(now, [run(0, 600)]), [{ ...run(0, 600), pages: "p" }]);
  now[3] = 99;
  now[300] = 99;
  const unchanged = [
    { ...run(0, 3), pages: "p" },
    { ...run(4, 296), pages: "p" },
    { ...run(301, 299), pages: "p" },
  ];
  deepEqual(compare(now, [run(0, 2), run(2, 598)]), unchanged);
  deepEqual(compare(now, [run(0, 2), run(2, 598)], false), unchanged);
  const single = now.map((_, page) => run(page, 1));
  deepEqual(compare(now, single), unchanged, "more parts than are read at once");
});

Deno.test("PageComparer.unchanged() refuses a pages file that is cut", () => {
  throws(() => compare([0], [run(0, 2)]), (error: StasisError) => error.code === "bad-image");
});

Deno.test("append() makes one run of what goes on in memory and in the file", () => {
  const runs: SavedRun[] = [];
  append(runs, { ...run(0, 1), pages: "p" });
  append(runs, { ...run(1, 1), pages: "p" });
  append(runs, { ...run(2, 1), pages: "q" });
  append(runs, { ...run(3, 1), offset: 0n, pages: "q" });
  deepEqual(runs.map(({ size, pages }) => [size, pages]), [[8192n, "p"], [4096n, "q"], [
    4096n,
    "q",
  ]]);
});
