import assert from "@std/assert";
import {
  type Chain,
  ChainWriter,
  commonStart,
  FILTER_FLAG,
  FilterPool,
  readTask,
  SECCOMP_MODE,
  type ThreadSeccomp,
} from "./chain.ts";

const pool = new FilterPool();
const filter = (fill: number, flags = 0) => pool.intern(new Uint8Array(16).fill(fill), flags);
const [a, b, c] = [filter(1), filter(2), filter(3, FILTER_FLAG.LOG)];
const has = (...chain: Chain): ThreadSeccomp => ({ mode: "filter", chain });
const OFF: ThreadSeccomp = { mode: "off" };
const STRICT: ThreadSeccomp = { mode: "strict" };

/** Through the image and back. */
function roundTrip(...tasks: ThreadSeccomp[][]) {
  const writer = new ChainWriter();
  const cores = tasks.map((threads) => writer.addTask(threads));
  return {
    filters: writer.filters,
    cores,
    read: cores.map((one) => readTask(one, writer.filters, pool)),
  };
}

Deno.test("FilterPool.intern() makes equal filters the same, and copies what it keeps", () => {
  const bytes = new Uint8Array(16).fill(9);
  const kept = pool.intern(bytes, 0);
  assert.equal(pool.intern(bytes.slice(), 0), kept);
  assert.notEqual(pool.intern(bytes, FILTER_FLAG.LOG), kept);
  bytes[0] = 1;
  assert.equal(kept.bytes[0], 9);
});

Deno.test("ChainWriter has the newest filter first, and cores name the oldest", () => {
  const { filters, cores } = roundTrip([has(a, b, c), OFF]);
  assert.deepEqual(filters.map(({ filter }) => filter[0]), [3, 2, 1]);
  assert.deepEqual(filters.map(({ prev }) => prev), [undefined, 0, 1]);
  assert.deepEqual(filters.map(({ flags }) => flags), [FILTER_FLAG.LOG, 0, 0]);
  assert.deepEqual(cores[0], [{ seccompMode: 2, seccompFilter: 2 }, {}]);
});

Deno.test("ChainWriter marks the chain of all threads with TSYNC, in the leader's core alone", () => {
  const { filters, cores, read } = roundTrip([has(a, b), has(a, b), has(a, b)]);
  assert.deepEqual(filters.map(({ flags }) => flags), [FILTER_FLAG.TSYNC, FILTER_FLAG.TSYNC]);
  assert.deepEqual(cores[0]?.slice(1), [{}, {}]);
  assert.deepEqual(read[0], [has(a, b), has(a, b), has(a, b)]);
});

Deno.test("ChainWriter saves the equal chains of several tasks once", () => {
  const { filters, cores } = roundTrip([has(a, b)], [has(a, b)], [has(a)]);
  assert.equal(filters.length, 3);
  assert.deepEqual(cores[0], cores[1]);
});

Deno.test("readTask() gives back what threads had", () => {
  const tasks = [[has(a), has(a, b), OFF, STRICT], [STRICT], [OFF, has(c)], [has(a, b), has(b)]];
  assert.deepEqual(roundTrip(...tasks).read, tasks);
});

Deno.test("readTask() refuses images that make no sense", () => {
  const bytes = new Uint8Array(8);
  const core = { seccompMode: SECCOMP_MODE.FILTER, seccompFilter: 0 };
  const refuses = (filters: Parameters<typeof readTask>[1], message: RegExp) =>
    assert.throws(() => readTask([core], filters, pool), message);
  refuses([], /no filter 0/);
  refuses([{ filter: bytes, prev: 7 }], /no filter 7/);
  refuses([{ filter: bytes, prev: 0 }], /follows itself/);
  refuses([{ filter: new Uint8Array(7) }], /7 bytes/);
  refuses([{ filter: new Uint8Array(0) }], /0 bytes/);
  refuses([{ filter: new Uint8Array(4097 * 8) }], /32776 bytes/);
  assert.throws(() => readTask([{ seccompMode: 5 }], [], pool), /mode 5/);
});

Deno.test("commonStart() is what all chains begin with", () => {
  assert.deepEqual(commonStart([[a, b], [a, b, c], [a, b]]), [a, b]);
  assert.deepEqual(commonStart([[a, b], [a, c]]), [a]);
  assert.deepEqual(commonStart([[a, b], []]), []);
  assert.deepEqual(commonStart([]), []);
});
