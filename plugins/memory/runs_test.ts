import { deepEqual, equal } from "@std/assert";
import { appendRun, cutTransfers, iovecs, type Run } from "./runs.ts";

const page = 4096n;
const run = (start: bigint, pages: bigint): Run => ({ start: start * page, size: pages * page });

Deno.test("appendRun() joins what is adjacent and nothing else", () => {
  const runs: Run[] = [];
  appendRun(runs, 0n, page);
  appendRun(runs, page, page);
  appendRun(runs, 3n * page, page);
  deepEqual(runs, [run(0n, 2n), run(3n, 1n)]);
});

Deno.test("cutTransfers() keeps within bytes and iovecs, and leaves no gap in the file", () => {
  const limit = 4n * page;
  const transfers = cutTransfers([run(1n, 3n), run(10n, 6n)], 100n * page, limit);
  deepEqual(transfers.map(({ offset, size }) => [offset / page, size / page]), [
    [100n, 4n],
    [104n, 4n],
    [108n, 1n],
  ]);
  deepEqual(transfers.flatMap(({ runs }) => runs), [
    run(1n, 3n),
    run(10n, 1n),
    run(11n, 4n),
    run(15n, 1n),
  ]);
  const single = Array.from({ length: 1025 }, (_, index) => run(2n * BigInt(index), 1n));
  deepEqual(cutTransfers(single, 0n, 1n << 30n).map(({ runs }) => runs.length), [1024, 1]);
  deepEqual(cutTransfers([], 0n, limit), []);
});

Deno.test("iovecs() gives address and length of each run in turn", () => {
  const words = new BigUint64Array(iovecs([run(1n, 2n), run(0x7ffffffffn, 1n)]).buffer);
  deepEqual([...words], [page, 2n * page, 0x7ffffffffn * page, page]);
  equal(iovecs([]).byteLength, 0);
});
