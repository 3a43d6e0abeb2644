import assert from "@std/assert";
import { TASK_ALIVE, TASK_DEAD, VMA_ANON_PRIVATE, VMA_FILE_PRIVATE } from "../../images/flags.ts";
import { fd_types } from "../../images/gen/descriptors_pb.ts";
import { core_entry_march } from "../../images/gen/thread_pb.ts";
import { CGROUP } from "../../images/kinds/cgroups.ts";
import { CORE, IDS, IMAGES_VERSION, PSTREE } from "../../images/kinds/core.ts";
import { FDINFO, FILE_LOCKS, FILES } from "../../images/kinds/files.ts";
import { MM, PAGEMAP } from "../../images/kinds/memory.ts";
import { SUD } from "../../images/kinds/sud.ts";
import { ImageDirectory, ImageWriter, PE_PRESENT } from "../../images/mod.ts";
import { TASK_EXTRA } from "../../plugins/task/image.ts";
import { type InspectedImages, inspectImages } from "./model.ts";
import { describeImages, describeSud } from "./text.ts";

const FOWN = { uid: 0, euid: 0, signum: 0, pidType: 0, pid: 0 };
const FILE = { start: 0x1000n, end: 0x3000n, pgoff: 0n, shmid: 1n, prot: 5, flags: 2, fd: -1n };
const HEAP = { ...FILE, start: 0x8000n, end: 0xa000n, shmid: 0n, prot: 3, flags: 0x22 };
const STACK = { ...HEAP, start: 0x7fff0000n, end: 0x7fff2000n };

/** A process with two threads, one of them with SUD on; a child that shares its descriptors; a zombie. */
async function sample(): Promise<InspectedImages> {
  const parent = await Deno.makeTempDir({ prefix: "stasis-inspect-" });
  try {
    await using writer = ImageWriter.create(`${parent}/images`);
    const entry = (pid: number, ppid: number, threads: number[]) => ({
      pid,
      ppid,
      pgid: 10,
      sid: 10,
      threads,
    });
    writer.writeList(PSTREE, null, [
      entry(10, 0, [10, 11]),
      entry(12, 10, [12]),
      entry(13, 12, [13]),
    ]);
    const thread = (comm: string) => ({
      mtype: core_entry_march.X86_64,
      threadCore: { futexRla: 0n, futexRlaLen: 0, comm, cgSet: comm === "child" ? 1 : 2 },
    });
    const task = (comm: string, taskState: number, exitCode = 0) => ({
      ...thread(comm),
      tc: { taskState, exitCode, personality: 0, flags: 0, blkSigset: 0n, comm },
    });
    writer.write(CORE, 10, task("main", TASK_ALIVE));
    writer.write(CORE, 11, thread("worker"));
    writer.writeList(TASK_EXTRA, null, [{ pid: 10, tid: 11, comm: Uint8Array.of(0x77, 0xff) }]);
    writer.write(CORE, 12, task("child", TASK_ALIVE));
    writer.write(CORE, 13, task("dead", TASK_DEAD, 0x700));
    writer.write(IDS, 10, { vmId: 1, filesId: 1, fsId: 1, sighandId: 1 });
    writer.write(IDS, 12, { vmId: 2, filesId: 1, fsId: 2, sighandId: 2 });
    writer.writeList(FDINFO, 1, [
      { id: 2, flags: 1, type: fd_types.PIPE, fd: 5 },
      { id: 1, flags: 0, type: fd_types.REG, fd: 3 },
    ]);
    writer.writeList(FILES, null, [
      { type: fd_types.REG, id: 1, reg: { id: 1, flags: 2, pos: 40n, fown: FOWN, name: "/bin/x" } },
      { type: fd_types.PIPE, id: 2, pipe: { id: 2, pipeId: 77, flags: 1, fown: FOWN } },
    ]);
    writer.writeList(FILE_LOCKS, null, [
      { flag: 2, type: 1, pid: 12, fd: 3, start: 0n, len: 0n },
      { flag: 1, type: 0, pid: 12, fd: 3, start: 10n, len: 5n },
    ]);
    const address = {
      mmStartCode: 0x1000n,
      mmEndCode: 0x2000n,
      mmStartData: 0n,
      mmEndData: 0n,
      mmStartStack: 0x7fff1000n,
      mmStartBrk: 0x8000n,
      mmBrk: 0xa000n,
      mmArgStart: 0n,
      mmArgEnd: 0n,
      mmEnvStart: 0n,
      mmEnvEnd: 0n,
      exeFileId: 1,
    };
    const vmas = [
      { ...FILE, status: 1 | VMA_FILE_PRIVATE },
      { ...HEAP, status: 1 | VMA_ANON_PRIVATE },
      { ...STACK, status: 1 | VMA_ANON_PRIVATE },
    ];
    for (const pid of [10, 12]) writer.write(MM, pid, { ...address, vmas });
    writer.writePagemap(PAGEMAP, 10, {
      pagesId: 1,
      entries: [{ vaddr: 0x8000n, nrPages: 2, flags: PE_PRESENT }],
    });
    writer.write(CGROUP, null, {
      sets: [
        { id: 1, ctls: [{ name: "", path: "/" }] },
        { id: 2, ctls: [{ name: "", path: "/jobs/7" }, { name: "memory", path: "/m" }] },
      ],
    });
    writer.writeList(SUD, null, [
      { pid: 10, tid: 11, mode: 1, selector: 0xdead000n, offset: 0x10000n, len: 0x200n },
    ]);
    await writer.commit({
      imgVersion: IMAGES_VERSION,
      fdinfoPerId: true,
      pluginsEntry: { plugins: ["sud"] },
    });
    return inspectImages(ImageDirectory.open(`${parent}/images`));
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

Deno.test("inspectImages() gathers processes, threads, SUD, descriptors and memory", async () => {
  const images = await sample();
  assert.deepEqual(images.plugins, ["sud"]);
  const [main, child, dead] = images.tasks;
  assert.deepEqual(main!.threads.map(({ tid, sud }) => [tid, sud]), [
    [10, null],
    [11, { mode: "exclusive", selector: "0xdead000", offset: "0x10000", length: 0x200n }],
  ]);
  assert.deepEqual(main!.descriptors, [
    { fd: 3, kind: "file", what: "/bin/x  read-write at 40", closeOnExec: false, id: 1 },
    { fd: 5, kind: "pipe", what: "pipe 77  write", closeOnExec: true, id: 2 },
  ]);
  assert.deepEqual(main!.mappings.map(({ name, permissions }) => [name, permissions]), [
    ["/bin/x", "r-xp"],
    ["[heap]", "rw-p"],
    ["[stack]", "rw-p"],
  ]);
  assert.deepEqual([main!.mappedBytes, main!.savedBytes, main!.exe], [0x6000n, 0x2000n, "/bin/x"]);
  assert.deepEqual([child!.filesOf, child!.memoryOf, child!.savedBytes], [10, 12, 0n]);
  assert.deepEqual([dead!.state, dead!.exitStatus, dead!.threads], ["zombie", 0x700, []]);
});

Deno.test("describeImages() draws the tree and every process", async (t) => {
  const images = await sample();
  const text = (verbose: boolean) =>
    describeImages({ ...images, directory: "/images" }, { verbose, colour: false }).join("\n");
  await t.assertSnapshot(text(false), "short");
  await t.assertSnapshot(text(true), "verbose");
});

Deno.test("describeSud() tells every set-up apart", () => {
  assert.equal(describeSud(null), "SUD off");
  const sud = { mode: "exclusive", selector: null, offset: "0x0", length: 0n } as const;
  assert.equal(describeSud(sud), "SUD exclusive, empty range, no selector");
  assert.equal(
    describeSud({ ...sud, mode: "inclusive", selector: "0x5", offset: "0x1000", length: 4096n }),
    "SUD inclusive, range 0x1000+0x1000, selector 0x5",
  );
});
