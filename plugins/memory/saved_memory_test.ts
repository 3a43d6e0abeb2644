import { deepEqual, equal, throws } from "@std/assert";
import {
  VMA_ANON_PRIVATE,
  VMA_ANON_SHARED,
  VMA_AREA_GUARD,
  VMA_AREA_MEMFD,
  VMA_AREA_REGULAR,
  VMA_FILE_PRIVATE,
} from "../../images/flags.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { core_entry_march } from "../../images/gen/thread_pb.ts";
import { CORE, IDS, IMAGES_VERSION, PSTREE } from "../../images/kinds/core.ts";
import { FILES } from "../../images/kinds/files.ts";
import { MEMFD_INODE, MM, PAGEMAP, PAGES, SHMEM_PAGEMAP } from "../../images/kinds/memory.ts";
import { ImageDirectory, ImageWriter, PE_PRESENT } from "../../images/mod.ts";
import { memoryOwner, readMemory, readRun, savedMappings } from "./saved_memory.ts";

const PAGE = 0x1000n;
const MM_FIELDS = {
  mmStartCode: 0n,
  mmEndCode: 0n,
  mmStartData: 0n,
  mmEndData: 0n,
  mmStartStack: 0n,
  mmStartBrk: 0n,
  mmBrk: 0n,
  mmArgStart: 0n,
  mmArgEnd: 0n,
  mmEnvStart: 0n,
  mmEnvEnd: 0n,
  exeFileId: 0,
};
const vma = (page: bigint, pages: bigint, status: number, more = {}) => ({
  start: page * PAGE,
  end: (page + pages) * PAGE,
  pgoff: 0n,
  shmid: 0n,
  prot: 3,
  flags: 2,
  status: VMA_AREA_REGULAR | status,
  fd: -1n,
  ...more,
});
const present = (page: bigint, nrPages: number) => ({
  vaddr: page * PAGE,
  nrPages,
  flags: PE_PRESENT,
});

/** Process 10 with private memory, shared memory and a private mapping of a memfd; 11 shares all of it. */
async function withImages(look: (images: ImageDirectory) => void): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "stasis-memory-" });
  try {
    await using writer = ImageWriter.create(`${home}/images`);
    const entry = (pid: number) => ({ pid, ppid: pid - 10, pgid: 1, sid: 1, threads: [pid] });
    writer.writeList(PSTREE, null, [entry(10), entry(11)]);
    for (const pid of [10, 11]) {
      writer.write(CORE, pid, { mtype: core_entry_march.X86_64 });
      writer.write(IDS, pid, { vmId: 5, filesId: 1, fsId: 1, sighandId: 1 });
    }
    writer.write(MM, 10, {
      ...MM_FIELDS,
      vmas: [
        vma(1n, 4n, VMA_ANON_PRIVATE),
        vma(10n, 2n, VMA_ANON_SHARED, { shmid: 77n, pgoff: PAGE }),
        vma(20n, 3n, VMA_FILE_PRIVATE | VMA_AREA_MEMFD, { shmid: 3n }),
        vma(1n, 1n, VMA_AREA_GUARD),
      ],
    });
    const fown = { uid: 0, euid: 0, signum: 0, pidType: 0, pid: 0 };
    writer.writeList(FILES, null, [
      { type: fd_types.MEMFD, id: 3, memfd: { id: 3, flags: 2, pos: 0n, fown, inodeId: 0 } },
    ]);
    writer.writeList(MEMFD_INODE, null, [
      { name: "m", uid: 0, gid: 0, size: 3n * PAGE, shmid: 88, seals: 0, inodeId: 0n },
    ]);
    writer.writePagemap(PAGEMAP, 10, {
      pagesId: 1,
      entries: [present(2n, 2), present(21n, 1)],
    });
    writer.writePagemap(SHMEM_PAGEMAP, 77n, { pagesId: 2, entries: [present(0n, 3)] });
    writer.writePagemap(SHMEM_PAGEMAP, 88n, { pagesId: 3, entries: [present(0n, 3)] });
    const pages = (id: number, ...fill: number[]) => {
      const bytes = new Uint8Array(fill.length * Number(PAGE));
      fill.forEach((value, page) =>
        bytes.fill(value, page * Number(PAGE), (page + 1) * Number(PAGE))
      );
      writer.writeRaw(PAGES, id, bytes);
    };
    pages(1, 0x12, 0x13, 0x21);
    pages(2, 0x70, 0x71, 0x72);
    pages(3, 0x80, 0x81, 0x82);
    await writer.commit({ imgVersion: IMAGES_VERSION, fdinfoPerId: true });
    look(ImageDirectory.open(`${home}/images`));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("readMemory() finds private and shared pages, and what was written over a memfd", async () => {
  await withImages((images) => {
    const at = (page: bigint) => readMemory(images, 11, page * PAGE + 0xffen, 4);
    deepEqual([...at(1n)], [0, 0, 0x12, 0x12], "what is not saved is zeros");
    deepEqual([...at(2n)], [0x12, 0x12, 0x13, 0x13]);
    deepEqual([...at(10n)], [0x71, 0x71, 0x72, 0x72], "the mapping begins at the second page");
    deepEqual([...at(20n)], [0x80, 0x80, 0x21, 0x21], "a page of its own over the object's");
    deepEqual([...at(21n)], [0x21, 0x21, 0x82, 0x82]);
    deepEqual([...at(500n)], [0, 0, 0, 0], "nothing is mapped there");
  });
});

Deno.test("savedMappings() leaves out guards, and has runs in the order of addresses", async () => {
  await withImages((images) => {
    equal(memoryOwner(images, 11), 10);
    const mappings = savedMappings(images, 10);
    deepEqual(
      mappings.map(({ runs }) => runs.map(({ start, size }) => [start / PAGE, size / PAGE])),
      [[[2n, 2n]], [[10n, 2n]], [[20n, 1n], [21n, 1n], [22n, 1n]]],
    );
  });
});

Deno.test("readRun() waits for nobody where a fifo has the name of a pages file", () => {
  const directory = Deno.makeTempDirSync({ prefix: "stasis-memory-" });
  try {
    const pages = `${directory}/pages-1.img`;
    new Deno.Command("mkfifo", { args: [pages] }).outputSync();
    const run = { start: 0n, size: PAGE, pages, offset: 0n };
    throws(() => readRun(run, new Uint8Array(Number(PAGE))), { code: "bad-image" });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
