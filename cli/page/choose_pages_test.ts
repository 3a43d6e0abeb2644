import { deepEqual } from "@std/assert";
import { choosePages, type Memory } from "./choose_pages.ts";

const PAGE = 4096n;
const run = (start: number, pages: number, offset = start) => ({
  start: BigInt(start) * PAGE,
  size: BigInt(pages) * PAGE,
  pages: "pages-1.img",
  offset: BigInt(offset) * PAGE,
});
const chosen = (memories: readonly Memory[], budget: number) =>
  choosePages(memories, budget).map(({ pid, run: { start, size, offset } }) =>
    [pid, start / PAGE, size / PAGE, offset / PAGE].map(Number)
  );

Deno.test("choosePages() takes all where there is room, and where runs are in their files", () => {
  const memory = { pid: 7, mappings: [[run(1, 3, 40)], [run(10, 1), run(12, 2)]], places: [] };
  deepEqual(chosen([memory], 100), [[7, 1, 3, 40], [7, 10, 1, 10], [7, 12, 2, 12]]);
});

Deno.test("choosePages() begins with the places of threads, and goes on with one page of each mapping in turn", () => {
  const memory = (pid: number, places: readonly bigint[] = []) => ({
    pid,
    mappings: [[run(0, 100)], [run(200, 100)]],
    places,
  });
  deepEqual(chosen([memory(7, [PAGE * 250n + 8n, PAGE * 999n])], 40), [
    [7, 0, 20, 0],
    [7, 200, 19, 200],
    [7, 250, 1, 250],
  ]);
  deepEqual(chosen([memory(7), memory(8, [0n])], 3), [
    [7, 0, 1, 0],
    [7, 200, 1, 200],
    [8, 0, 1, 0],
  ]);
  deepEqual(chosen([memory(7), memory(8)], 6).map(([pid, , size]) => [pid, size]), [
    [7, 2],
    [7, 2],
    [8, 1],
    [8, 1],
  ]);
  deepEqual(chosen([memory(7)], 0), []);
});
