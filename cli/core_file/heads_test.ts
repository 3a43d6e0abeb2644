import { deepEqual } from "@std/assert";
import { create } from "@bufbuild/protobuf";
import { VMA_ANON_PRIVATE, VMA_AREA_MEMFD, VMA_FILE_PRIVATE } from "../../images/flags.ts";
import { vma_entrySchema } from "../../images/gen/memory_pb.ts";
import { withHeads } from "./heads.ts";

const FILES = new Map([
  [1n, { path: "/bin/one", buildId: [0x04030201] }],
  [2n, { path: "/bin/rebuilt", buildId: [0x04030201] }],
  [3n, { path: "/data", buildId: [] }],
]);
const mapping = (shmid: bigint, status: number, pgoff = 0n, saved = false) => ({
  vma: create(vma_entrySchema, { start: 0x1000n, end: 0x5000n, status, pgoff, shmid, prot: 1 }),
  runs: saved ? [{ start: 0x1000n, size: 0x1000n, pages: "pages-1.img", offset: 0n }] : [],
});

Deno.test("withHeads() adds the first pages of files that are the same build still", () => {
  const mappings = [
    mapping(1n, VMA_FILE_PRIVATE),
    mapping(1n, VMA_FILE_PRIVATE, 0x1000n),
    mapping(1n, VMA_FILE_PRIVATE, 0n, true),
    mapping(2n, VMA_FILE_PRIVATE),
    mapping(3n, VMA_FILE_PRIVATE),
    mapping(9n, VMA_FILE_PRIVATE),
    mapping(1n, VMA_FILE_PRIVATE | VMA_AREA_MEMFD),
    mapping(1n, VMA_ANON_PRIVATE),
  ];
  const buildIdOf = (path: string) => Uint8Array.of(path === "/bin/one" ? 1 : 9, 2, 3, 4);
  const found = withHeads(mappings, ({ shmid }) => FILES.get(shmid), buildIdOf);
  deepEqual(found[0]?.runs, [{ start: 0x1000n, size: 0x1000n, pages: "/bin/one", offset: 0n }]);
  deepEqual(found.slice(1), mappings.slice(1));
});
