import { deepEqual, equal } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { MemorySource } from "./byte_source.ts";
import { encodeGhostChunks, ghostLength, locateGhostChunks } from "./ghost_chunks.ts";
import { ghost_file_entrySchema } from "./gen/ghost_pb.ts";

const CHUNKS = [
  { offset: 0n, data: new Uint8Array([1, 2, 3]) },
  { offset: 1n << 40n, data: new Uint8Array(5000).fill(7) },
];

Deno.test("locateGhostChunks() finds what encodeGhostChunks() made", () => {
  const bytes = encodeGhostChunks(CHUNKS);
  const found = locateGhostChunks(new MemorySource(bytes))?.map(({ offset, at, size }) => ({
    offset,
    data: bytes.slice(at, at + size),
  }));
  deepEqual(found, CHUNKS);
  deepEqual(locateGhostChunks(new MemorySource(new Uint8Array())), []);
});

Deno.test("locateGhostChunks() refuses a cut anywhere but between chunks", () => {
  const bytes = encodeGhostChunks(CHUNKS);
  const first = encodeGhostChunks(CHUNKS.slice(0, 1)).length;
  for (let length = 1; length < first + 30; length++) {
    equal(
      locateGhostChunks(new MemorySource(bytes.subarray(0, length))) !== undefined,
      length === first,
      `${length}`,
    );
  }
});

Deno.test("ghostLength() looks at the form only where there are chunks", () => {
  const whole = create(ghost_file_entrySchema, { uid: 0, gid: 0, mode: 0 });
  const chunked = create(ghost_file_entrySchema, { uid: 0, gid: 0, mode: 0, chunks: true });
  equal(ghostLength(whole, new MemorySource(new Uint8Array(3))), 3);
  equal(ghostLength(chunked, new MemorySource(new Uint8Array(3))), undefined);
  const bytes = encodeGhostChunks(CHUNKS);
  equal(ghostLength(chunked, new MemorySource(bytes)), bytes.length);
});
