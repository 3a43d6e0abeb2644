import { create } from "@bufbuild/protobuf";
import { doesNotThrow, throws } from "@std/assert";
import { VMA_AREA_GUARD, VMA_AREA_REGULAR, VMA_AREA_VSYSCALL } from "../../images/flags.ts";
import { mm_entrySchema } from "../../images/gen/memory_pb.ts";
import { checkMappings, checkPagesFiles, checkRuns } from "./validate.ts";

const vma = (start: bigint, end: bigint, status: number = VMA_AREA_REGULAR) => ({
  start,
  end,
  status,
  pgoff: 0n,
  shmid: 0n,
  prot: 3,
  flags: 0x22,
  fd: -1n,
});
const mm = (...vmas: ReturnType<typeof vma>[]) => create(mm_entrySchema, { vmas });

Deno.test("checkMappings() takes what a process can have", () => {
  doesNotThrow(() =>
    checkMappings(
      mm(
        vma(0x1000n, 0x3000n),
        vma(0x3000n, 0x4000n),
        vma(0xffffffffff600000n, 0xffffffffff601000n, VMA_AREA_VSYSCALL),
        vma(0x2000n, 0x3000n, VMA_AREA_GUARD),
      ),
      "mm-7.img",
    )
  );
});

Deno.test("checkMappings() refuses ranges that no process can have, and names the image", () => {
  for (
    const vmas of [
      [vma(0x1001n, 0x3000n)],
      [vma(0x1000n, 0x3001n)],
      [vma(0x3000n, 0x3000n)],
      [vma(0x3000n, 0x1000n)],
      [vma(0x1000n, 0x3000n), vma(0x2000n, 0x4000n)],
      [vma(0x7ffffffff000n, 0x800000000000n)],
      [vma(0x1000n, 0x1800n, VMA_AREA_GUARD)],
    ]
  ) {
    throws(() => checkMappings(mm(...vmas), "mm-7.img"), { code: "bad-image" });
    throws(() => checkMappings(mm(...vmas), "mm-7.img"), /mm-7\.img/);
  }
});

Deno.test("checkPagesFiles() refuses files that are cut or missing", () => {
  const path = Deno.makeTempFileSync({ prefix: "stasis-pages-" });
  try {
    Deno.writeFileSync(path, new Uint8Array(8191));
    const run = (pages: bigint, file = path) => ({
      start: 0x1000n,
      size: pages * 4096n,
      pages: file,
      offset: 0n,
    });
    doesNotThrow(() => checkPagesFiles([run(1n)]));
    doesNotThrow(() => checkPagesFiles([]));
    throws(() => checkPagesFiles([run(2n)]), { code: "bad-image" });
    throws(() => checkPagesFiles([run(2n), run(1n)]), { code: "bad-image" });
    throws(() => checkPagesFiles([run(1n), run(1n, `${path}.none`)]), { code: "bad-image" });
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("checkRuns() takes pages of private mappings, also where a run crosses several", () => {
  const run = (start: bigint, size: bigint) => ({ start, size, pages: "pages-1.img", offset: 0n });
  const task = mm(
    vma(0x1000n, 0x3000n),
    vma(0x3000n, 0x5000n),
    vma(0x4000n, 0x5000n, VMA_AREA_GUARD),
    vma(0x8000n, 0x9000n),
  );
  doesNotThrow(() => checkRuns(task, [run(0x1000n, 0x4000n), run(0x8000n, 0x1000n)], "x"));
});

Deno.test("checkRuns() refuses pages where nothing is mapped, and of shared mappings", () => {
  const run = (start: bigint, size: bigint) => ({ start, size, pages: "pages-1.img", offset: 0n });
  const shared = { ...vma(0x3000n, 0x5000n), flags: 0x01 };
  const task = mm(vma(0x1000n, 0x3000n), shared, vma(0x8000n, 0x9000n));
  for (
    const [wrong, at] of [
      [run(0x0n, 0x1000n), "0x0"],
      [run(0x2000n, 0x2000n), "0x3000"],
      [run(0x7000n, 0x2000n), "0x7000"],
      [run(0x8000n, 0x2000n), "0x9000"],
    ] as const
  ) {
    throws(() => checkRuns(task, [wrong], "pagemap-7.img"), {
      code: "bad-image",
      message: `pagemap-7.img has pages at ${at}, where nothing private is`,
    });
  }
});
