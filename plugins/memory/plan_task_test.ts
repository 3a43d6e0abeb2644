import { create } from "@bufbuild/protobuf";
import { deepEqual, equal, ok } from "@std/assert";
import { remoteAddress } from "../../core/linux/address.ts";
import type { RestoreSession, TaskPlanner } from "../../core/plugin.ts";
import { formatCall } from "../../core/remote/format_call.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import {
  VMA_ANON_PRIVATE,
  VMA_AREA_GUARD,
  VMA_AREA_REGULAR,
  VMA_AREA_VDSO,
  VMA_AREA_VSYSCALL,
  VMA_AREA_VVAR,
  VMA_FILE_PRIVATE,
} from "../../images/flags.ts";
import { mm_entrySchema, type vma_entry, vma_entrySchema } from "../../images/gen/memory_pb.ts";
import { mm_extra_entrySchema } from "../../images/gen/mm_extra_pb.ts";
import { ObjectPlans } from "./plan_objects.ts";
import { planMemory, type TaskMemory } from "./plan_task.ts";
import { descriptorKey, isMapped, MappedDescriptors, mappingPlanners } from "./planners.ts";

const ANON = VMA_AREA_REGULAR | VMA_ANON_PRIVATE, FILE = VMA_AREA_REGULAR | VMA_FILE_PRIVATE;
const privileges = {
  caps: { inheritable: 0n, permitted: 0n, effective: 0n, bounding: 0n, ambient: 0n },
  noNewPrivs: false,
  uids: [0, 0, 0, 0],
  gids: [0, 0, 0, 0],
  groups: [],
  securebits: 0,
  idsAreFixed: false,
} as const;
const machine = {
  release: "6.18",
  descriptorLimit: 1024,
  privileges,
  startPrivileges: privileges,
  userNamespace: false,
  vdso: [{ name: "[vvar]", offset: 0n, size: 0x4000n }, {
    name: "[vdso]",
    offset: 0x4000n,
    size: 0x2000n,
  }],
};
const vma = (start: bigint, end: bigint, prot: number, status: number, more = {}): vma_entry =>
  create(vma_entrySchema, {
    start,
    end,
    prot,
    status,
    flags: (status & VMA_ANON_PRIVATE) !== 0 ? 0x22 : 2,
    pgoff: 0n,
    shmid: 0n,
    fd: -1n,
    ...more,
  });

/** Plans a task with these mappings and pages, and gives the calls of both stages as text. */
function plan(vmas: vma_entry[], memory: Partial<TaskMemory> = {}) {
  const programs = new Map<string, SyscallProgram>();
  const task = {
    pid: 7,
    program(stage: string) {
      let program = programs.get(stage);
      if (program === undefined) programs.set(stage, program = new SyscallProgram(stage));
      return program;
    },
    files: {
      open: (program: SyscallProgram, id: number, flags: number) =>
        program.call("openat", -100, `/file/${id}`, flags, 0),
    },
    scratch: { start: remoteAddress(0x100000n), end: remoteAddress(0x200000n) },
    parkedVdso: remoteAddress(0x200000n),
  } as unknown as TaskPlanner;
  const mm = create(mm_entrySchema, { vmas, exeFileId: 3, mmSavedAuxv: [0n, 0n] });
  const objects = new ObjectPlans({} as RestoreSession);
  const descriptors = new MappedDescriptors(vmas.filter(isMapped), descriptorKey);
  const planners = mappingPlanners(objects, () => descriptors);
  planMemory(
    task,
    { mm, extra: undefined, runs: [], rings: [], ...memory },
    {
      machine,
      plannerOf: (one) => planners.find((planner) => planner.restores(one, mm))!,
      exeFd: 71,
      sink: -1,
      memfdOf: () => undefined,
    },
  );
  const text = (stage: string) => programs.get(stage)?.calls.map((call) => formatCall(call)) ?? [];
  return { memory: text("memory"), contents: text("contents"), programs };
}

const named = (lines: string[], name: string) =>
  lines.filter((line) => line.startsWith(`${name}(`));

Deno.test("planMemory() unmaps all but scratch memory and the parked vDSO", () => {
  deepEqual(named(plan([]).memory, "munmap"), [
    "munmap(NULL, 1048576)",
    `munmap(0x206000, ${0x7ffffffff000n - 0x206000n})`,
  ]);
});

Deno.test("planMemory() moves each part of the vDSO and says where its code is", () => {
  const { memory } = plan([
    vma(0x7000000n, 0x7004000n, 1, VMA_AREA_REGULAR | VMA_AREA_VVAR | VMA_ANON_PRIVATE),
    vma(0x7004000n, 0x7006000n, 5, VMA_AREA_REGULAR | VMA_AREA_VDSO | VMA_ANON_PRIVATE),
  ]);
  equal(named(memory, "mremap").length, 2);
  ok(named(memory, "mremap")[1]?.endsWith("0x7004000)"), memory.join("\n"));
  equal(named(memory, "mmap").length, 0);
});

Deno.test("planMemory() maps writable what gets contents, and protects it afterwards", () => {
  const { memory, contents, programs } = plan(
    [vma(0x10000n, 0x12000n, 1, ANON), vma(0x20000n, 0x22000n, 0, ANON)],
    { runs: [{ start: 0x11000n, size: 0x1000n, pages: "/images/pages-1.img", offset: 0n }] },
  );
  const maps = named(memory, "mmap");
  ok(maps[0]?.includes("PROT_READ|PROT_WRITE"), maps[0]);
  ok(maps[1]?.includes("PROT_NONE"), maps[1]);
  ok(maps.every((line) => line.includes("MAP_FIXED_NOREPLACE")));
  equal(programs.get("memory")?.calls.find(({ name }) => name === "mmap")?.expect, 0x10000n);
  deepEqual(named(contents, "mprotect"), ["mprotect(0x10000, 8192, PROT_READ)"]);
  const read = programs.get("contents")?.calls.find(({ name }) => name === "preadv");
  equal(read?.expect, 0x1000n);
});

Deno.test("planMemory() reads no pages into the vDSO", () => {
  const { contents } = plan(
    [vma(0x7004000n, 0x7006000n, 5, VMA_AREA_REGULAR | VMA_AREA_VDSO | VMA_ANON_PRIVATE)],
    { runs: [{ start: 0x7004000n, size: 0x2000n, pages: "/images/pages-1.img", offset: 0n }] },
  );
  deepEqual(named(contents, "preadv"), []);
});

Deno.test("planMemory() opens a file once for all its mappings, and closes it after the last", () => {
  const { memory } = plan([
    vma(0x10000n, 0x11000n, 1, FILE, { shmid: 5n, fdflags: 0 }),
    vma(0x11000n, 0x12000n, 5, FILE, { shmid: 5n, fdflags: 0, pgoff: 0x1000n }),
    vma(0x20000n, 0x21000n, 1, FILE, { shmid: 6n, fdflags: 0 }),
    vma(0x30000n, 0x31000n, 1, FILE, { shmid: 5n, fdflags: 0, pgoff: 0x2000n }),
  ]);
  const order = memory.map((line) => line.split("(")[0]).filter((name) => name !== "munmap");
  deepEqual(order.slice(0, 12), [
    // The executable, which stays open until the end.
    "openat",
    "dup3",
    "close",
    "prctl",
    "openat",
    "mmap",
    "mmap",
    "openat",
    "mmap",
    "close",
    "mmap",
    "close",
  ]);
});

Deno.test("planMemory() sets the executable when nothing else is left to map", () => {
  const { memory } = plan([vma(0x10000n, 0x11000n, 3, ANON)]);
  const last = memory.slice(-3).map((line) => line.split("(")[0]);
  deepEqual(last, ["mmap", "prctl", "close"]);
  ok(memory.find((line) => line.startsWith("openat"))?.includes("/file/3"));
});

Deno.test("planMemory() gives advice, locks, names, guards and seals, each at its time", () => {
  const madv = 1n << 10n | 1n << 14n;
  const { memory, contents } = plan(
    [
      vma(0x10000n, 0x12000n, 3, ANON, { flags: 0x22 | 0x2000, madv }),
      vma(0xffffffffff600000n, 0xffffffffff601000n, 4, VMA_AREA_VSYSCALL | VMA_ANON_PRIVATE),
      vma(0x11000n, 0x12000n, 0, VMA_AREA_GUARD, { flags: 0 }),
    ],
    {
      extra: create(mm_extra_entrySchema, {
        vmas: [{ start: 0x10000n, name: "x", sealed: true, lockOnFault: true }],
        mdwe: 1,
        lockFuture: true,
      }),
    },
  );
  equal(named(memory, "mmap").length, 1);
  ok(!named(memory, "mmap")[0]?.includes("MAP_LOCKED"));
  equal(named(memory, "madvise").length, 1);
  deepEqual(contents.map((line) => line.split("(")[0]), [
    "madvise",
    "prctl",
    "madvise",
    "mlock2",
    "mseal",
    "mlockall",
    "prctl",
  ]);
});

Deno.test("planMemory() keeps what is there already, and takes the pages out that are not the task's", () => {
  const common = {
    start: 0x10000n,
    end: 0x16000n,
    vma: vma(0x10000n, 0x16000n, 3, ANON),
    runs: [],
    users: new Set([7, 8]),
  };
  const { memory, contents } = plan(
    [
      vma(0x10000n, 0x12000n, 3, ANON),
      vma(0x12000n, 0x14000n, 1, ANON),
      vma(0x20000n, 0x21000n, 3, ANON),
    ],
    {
      runs: [{ start: 0x10000n, size: 0x4000n, pages: "/images/parent/pages-1.img", offset: 0n }],
      inheritance: {
        vmas: new Map([[0x10000n, common], [0x12000n, common]]),
        hidden: new Set([common]),
        runs: [{ start: 0x11000n, size: 0x1000n, pages: "/images/pages-1.img", offset: 0n }],
        stale: [{ start: 0x13000n, size: 0x1000n }],
      },
    },
  );
  deepEqual(named(memory, "munmap").slice(0, 2), [
    "munmap(NULL, 65536)",
    `munmap(0x14000, ${0x100000 - 0x14000})`,
  ]);
  deepEqual(named(memory, "mmap").length, 1);
  deepEqual(named(memory, "madvise"), [
    "madvise(0x10000, 8192, MADV_DOFORK)",
    "madvise(0x12000, 8192, MADV_DOFORK)",
    "madvise(0x13000, 4096, MADV_DONTNEED)",
  ]);
  deepEqual(named(contents, "mprotect"), ["mprotect(0x12000, 8192, PROT_READ)"]);
  equal(named(contents, "preadv").length, 1);
});
