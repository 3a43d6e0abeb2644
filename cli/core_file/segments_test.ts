import { deepEqual } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import {
  VMA_ANON_PRIVATE,
  VMA_AREA_MEMFD,
  VMA_AREA_REGULAR,
  VMA_AREA_VVAR,
  VMA_FILE_PRIVATE,
  VMA_FILE_SHARED,
} from "../../images/flags.ts";
import { vma_entrySchema } from "../../images/gen/memory_pb.ts";
import { coreSegments, MOST_ZEROS } from "./segments.ts";

const vma = (start: bigint, end: bigint, status: number, prot = 3) =>
  create(vma_entrySchema, { start, end, status: VMA_AREA_REGULAR | status, prot });
const run = (start: bigint, size: bigint) => ({ start, size, pages: "pages-1.img", offset: start });
/** The segments as start, end, and the pieces' places in them; null for those without contents. */
const shapes = (...mappings: Parameters<typeof coreSegments>[0]) =>
  coreSegments(mappings).map(({ start, size, inFile, pieces }) => [
    start,
    start + size,
    inFile ? pieces.map(({ at, size }) => [at, size]) : null,
  ]);

Deno.test("coreSegments() has all of anonymous memory, and of files only what is saved", () => {
  const runs = [run(0x3000n, 0x1000n), run(0x4000n, 0x1000n), run(0x6000n, 0x1000n)];
  deepEqual(shapes({ vma: vma(0x2000n, 0x8000n, VMA_ANON_PRIVATE), runs }), [
    [0x2000n, 0x8000n, [[0x1000n, 0x1000n], [0x2000n, 0x1000n], [0x4000n, 0x1000n]]],
  ]);
  deepEqual(shapes({ vma: vma(0x2000n, 0x8000n, VMA_FILE_PRIVATE), runs }), [
    [0x2000n, 0x3000n, null],
    [0x3000n, 0x5000n, [[0n, 0x1000n], [0x1000n, 0x1000n]]],
    [0x5000n, 0x6000n, null],
    [0x6000n, 0x7000n, [[0n, 0x1000n]]],
    [0x7000n, 0x8000n, null],
  ]);
});

Deno.test("coreSegments() takes memfds for memory: no debugger finds their file", () => {
  const memfd = vma(0x2000n, 0x4000n, VMA_FILE_SHARED | VMA_AREA_MEMFD);
  deepEqual(shapes({ vma: memfd, runs: [] }), [[0x2000n, 0x4000n, []]]);
});

Deno.test("coreSegments() leaves out the contents of reservations, and of the clock's pages everything", () => {
  deepEqual(shapes({ vma: vma(0x2000n, 0x4000n, VMA_ANON_PRIVATE, 0), runs: [] }), [
    [0x2000n, 0x4000n, null],
  ]);
  deepEqual(shapes({ vma: vma(0x2000n, 0x4000n, VMA_AREA_VVAR, 1), runs: [] }), []);
  const large = vma(0x1000n, 0x1000n + 2n * MOST_ZEROS, VMA_ANON_PRIVATE);
  deepEqual(shapes({ vma: large, runs: [run(0x1000n, 0x1000n)] }), [
    [0x1000n, 0x2000n, [[0n, 0x1000n]]],
    [0x2000n, large.end, null],
  ]);
});
