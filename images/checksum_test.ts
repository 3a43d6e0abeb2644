import { deepEqual, equal } from "@std/assert";
import { crc32 as zlib } from "node:zlib";
import { BLOCK_SIZE, checksumsOf, crc32ByTables, FileChecksums } from "./checksum.ts";

function sample(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => Math.imul(index, 2654435761) >>> 13);
}

Deno.test("crc32ByTables() is zlib's, whatever the length and alignment", () => {
  equal(crc32ByTables(new TextEncoder().encode("123456789")), 0xcbf43926);
  for (const size of [0, 1, 7, 8, 9, 1000, 4096]) {
    const bytes = sample(size + 8);
    for (let start = 0; start < 8; start++) {
      const part = bytes.subarray(start, start + size);
      equal(crc32ByTables(part), zlib(part), `${size} bytes at ${start}`);
    }
  }
});

Deno.test("FileChecksums follows a file that grows, and has the same as one that is whole", async () => {
  const path = Deno.makeTempFileSync();
  try {
    const bytes = sample(2 * BLOCK_SIZE + 5000);
    Deno.writeFileSync(path, bytes);
    const sums = new FileChecksums(path, crc32ByTables);
    let steps = 0;
    const step = () => void steps++;
    for (const end of [0, 4096, BLOCK_SIZE, BLOCK_SIZE + 1, bytes.length]) {
      await sums.advance(end, false, step);
      equal(sums.sums.length, Math.floor(end / BLOCK_SIZE));
    }
    await sums.advance(bytes.length, true, step);
    deepEqual(sums.sums, checksumsOf(bytes, crc32ByTables));
    equal(steps, 3);
    await sums.advance(bytes.length, true, step);
    equal(sums.sums.length, 3);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("FileChecksums takes what is told of blocks, and reads those again that have changed", async () => {
  const path = Deno.makeTempFileSync();
  try {
    const bytes = sample(4 * BLOCK_SIZE + 100);
    Deno.writeFileSync(path, bytes);
    const sums = new FileChecksums(path, crc32ByTables);
    const block = (index: number) =>
      bytes.subarray(index * BLOCK_SIZE, Math.min((index + 1) * BLOCK_SIZE, bytes.length));
    for (const index of [3, 1, 4, 0]) sums.add(index, block(index));
    equal(sums.sums.length, 0);
    let steps = 0;
    const step = () => void steps++;
    await sums.advance(bytes.length, true, step);
    equal(steps, 1, "block 2 alone was read");
    deepEqual(sums.sums, checksumsOf(bytes, crc32ByTables));
    bytes.fill(7, BLOCK_SIZE - 1, BLOCK_SIZE + 1);
    Deno.writeFileSync(path, bytes);
    sums.forget(BLOCK_SIZE - 1, BLOCK_SIZE + 1);
    equal(sums.sums.length, 0);
    await sums.advance(bytes.length, true, step);
    equal(steps, 3);
    deepEqual(sums.sums, checksumsOf(bytes, crc32ByTables));
  } finally {
    Deno.removeSync(path);
  }
});
