import { deepEqual, equal } from "@std/assert";
import { layoutCore, type Segment } from "./elf.ts";

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);
const notes = new Uint8Array([1, 2, 3, 4]);
const segment = (start: bigint, pages: bigint, inFile = true): Segment<string> => ({
  start,
  size: pages * 0x1000n,
  prot: 5,
  inFile,
  pieces: inFile ? [{ at: 0n, size: 0x1000n, source: `at ${start}` }] : [],
});

Deno.test("layoutCore() puts segments behind the notes, at whole pages, those without contents nowhere", () => {
  const { head, contents, size } = layoutCore(notes, [
    segment(0x1000n, 2n),
    segment(0x9000n, 5n, false),
    { ...segment(0x20000n, 3n), pieces: [{ at: 0x2000n, size: 0x1000n, source: "last" }] },
  ]);
  deepEqual([...head.subarray(0, 7)], [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  equal(view(head).getUint16(16, true), 4, "ET_CORE");
  equal(view(head).getUint16(56, true), 4, "program headers");
  const at = (index: number) => 64 + 56 * index;
  const field = (index: number, offset: number) =>
    view(head).getBigUint64(at(index) + offset, true);
  equal(view(head).getUint32(at(0), true), 4, "PT_NOTE");
  const noteAt = Number(field(0, 8));
  deepEqual(head.subarray(noteAt, noteAt + 4), notes);
  // offset, address, size in the file, size in memory
  const load = (index: number) => [8, 16, 32, 40].map((offset) => field(index, offset));
  deepEqual(load(1), [0x1000n, 0x1000n, 0x2000n, 0x2000n]);
  deepEqual(load(2), [0x3000n, 0x9000n, 0n, 0x5000n]);
  deepEqual(load(3), [0x3000n, 0x20000n, 0x3000n, 0x3000n]);
  equal(view(head).getUint32(at(1) + 4, true), 5, "PROT_READ | PROT_EXEC is PF_R | PF_X");
  deepEqual(contents, [
    { offset: 0x1000n, size: 0x1000n, source: "at 4096" },
    { offset: 0x5000n, size: 0x1000n, source: "last" },
  ]);
  equal(size, 0x6000n);
});

Deno.test("layoutCore() counts more program headers than fit in the first section", () => {
  const count = 70_000;
  const segments = Array.from({ length: count }, (_, index) => segment(BigInt(index) << 12n, 1n));
  const { head } = layoutCore(notes, segments);
  equal(view(head).getUint16(56, true), 0xffff, "PN_XNUM");
  const section = Number(view(head).getBigUint64(40, true));
  equal(section + 64, head.length);
  equal(view(head).getUint32(section + 44, true), count + 1);
});
