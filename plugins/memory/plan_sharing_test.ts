import { create } from "@bufbuild/protobuf";
import { deepEqual, equal } from "@std/assert";
import { VMA_ANON_PRIVATE, VMA_AREA_REGULAR, VMA_FILE_PRIVATE } from "../../images/flags.ts";
import { type vma_entry, vma_entrySchema } from "../../images/gen/memory_pb.ts";
import {
  type Inheritance,
  planSharing,
  SharedFiles,
  type SharingPlan,
  type SharingTask,
} from "./plan_sharing.ts";
import type { SavedRun } from "./saved_pages.ts";

const page = 4096n;

/** A mapping of anonymous memory, in pages. */
function vma(
  start: bigint,
  end: bigint,
  more: Partial<Omit<vma_entry, "$typeName" | "$unknown">> = {},
): vma_entry {
  return create(vma_entrySchema, {
    start: start * page,
    end: end * page,
    pgoff: 0n,
    shmid: 0n,
    prot: 3,
    flags: 0x22,
    status: VMA_AREA_REGULAR | VMA_ANON_PRIVATE,
    fd: -1n,
    ...more,
  });
}

/** Pages that are in the parent at their address, or another place. */
function common(
  start: bigint,
  pages: bigint,
  offset = start,
  file = "parent/pages-1.img",
): SavedRun {
  return { start: start * page, size: pages * page, pages: file, offset: offset * page };
}

const own = (start: bigint, pages: bigint, pid: number): SavedRun =>
  common(start, pages, 0n, `pages-${pid}.img`);

const task = (pid: number, vmas: vma_entry[], ...runs: SavedRun[]): SharingTask => ({
  pid,
  vmas,
  runs,
});

interface Planned extends Pick<SharingPlan, "births"> {
  /** By pid, of those that have something in common with others. */
  readonly inheritances: ReadonlyMap<number, Inheritance>;
}

/** Plans a tree of pid to children. */
function plan(
  tasks: SharingTask[],
  children: Record<number, number[]>,
  check: () => void = () => {},
): Planned {
  const files = new SharedFiles();
  for (const { runs } of tasks) files.add(runs);
  const plan = planSharing(tasks, files.all, 1, (pid) => children[pid] ?? [], check);
  const inheritances = new Map<number, Inheritance>();
  for (const task of tasks) {
    const inheritance = plan.inheritanceOf(task);
    if (inheritance !== undefined) inheritances.set(task.pid, inheritance);
  }
  return { births: plan.births, inheritances };
}

/** What is done before whose birth: the kind and the first page of the memory. */
function stepsOf({ births }: Planned): [child: number, kind: string, start: bigint][] {
  return [...births].flatMap(([child, steps]) =>
    steps.map(({ kind, memory }): [number, string, bigint] => [child, kind, memory.start / page])
  );
}

Deno.test("planSharing() plans nothing where no pages are in common", () => {
  const { births, inheritances } = plan(
    [task(1, [vma(0n, 9n)], own(0n, 9n, 1)), task(2, [vma(0n, 9n)], own(0n, 9n, 2))],
    { 1: [2] },
  );
  deepEqual([births.size, inheritances.size], [0, 0]);
});

Deno.test("planSharing() has a task make what its children have in common with it, once", () => {
  const all = plan(
    [
      task(1, [vma(0n, 10n)], common(0n, 8n)),
      task(2, [vma(0n, 10n)], common(0n, 2n), own(2n, 1n, 2), common(4n, 4n)),
      task(3, [vma(0n, 4n), vma(4n, 10n, { prot: 1 })], common(0n, 8n), own(8n, 1n, 3)),
    ],
    { 1: [2, 3] },
  );
  deepEqual(stepsOf(all), [[2, "make", 0n]]);
  const [memory] = [...all.births.values()].flat().map((step) => step.memory);
  deepEqual(memory?.runs, [common(0n, 8n)]);
  deepEqual(all.inheritances.get(1)?.runs, []);
  deepEqual(all.inheritances.get(2)?.runs, [own(2n, 1n, 2)]);
  // What the others have at page 3 and it has not.
  deepEqual(all.inheritances.get(2)?.stale, [common(3n, 1n)]);
  deepEqual([...all.inheritances.get(3)?.vmas.keys() ?? []], [0n, 4n * page]);
  deepEqual(all.inheritances.get(3)?.runs, [own(8n, 1n, 3)]);
  deepEqual(all.inheritances.get(3)?.stale, []);
});

Deno.test("planSharing() has memory made by who bears those that share it, though it has none", () => {
  const tasks = [
    task(1, [vma(50n, 60n)], own(50n, 1n, 1)),
    task(2, [vma(0n, 10n)], common(0n, 8n)),
    task(4, [vma(0n, 10n)], common(0n, 8n)),
  ];
  // 3 helps to bear 4.
  const all = plan(tasks, { 1: [5, 2, 3], 3: [4] });
  deepEqual(stepsOf(all), [[2, "make", 0n]]);
  equal(all.inheritances.has(1), false);
  equal(all.inheritances.get(4)?.vmas.size, 1);
});

Deno.test("planSharing() keeps large memory from children that do not need it", () => {
  const large = 2000n;
  const vmas = [vma(0n, large)];
  const all = plan(
    [
      task(1, vmas, common(0n, large)),
      task(2, [vma(0n, 1n)], own(0n, 1n, 2)),
      task(3, vmas, common(0n, large)),
      task(4, [vma(0n, 1n)], own(0n, 1n, 4)),
      task(5, vmas, common(0n, large)),
      task(6, [vma(0n, 1n)], own(0n, 1n, 6)),
    ],
    { 1: [2, 3, 4, 5, 6] },
  );
  deepEqual(stepsOf(all), [[3, "make", 0n], [4, "hide", 0n], [5, "show", 0n], [6, "hide", 0n]]);
  equal(all.inheritances.get(1)?.hidden.size, 1);
  equal(all.inheritances.get(3)?.hidden.size, 0);
});

Deno.test("planSharing() gives a mapping that cannot become the other's to its task alone", () => {
  const file = { status: VMA_AREA_REGULAR | VMA_FILE_PRIVATE, flags: 2, shmid: 7n };
  for (
    const other of [
      vma(0n, 10n, file),
      vma(0n, 10n, { flags: 0x122 }),
      vma(0n, 10n, { madv: 1n << 14n }),
    ]
  ) {
    const all = plan(
      [task(1, [vma(0n, 10n)], common(0n, 8n)), task(2, [other], common(0n, 8n))],
      { 1: [2] },
    );
    deepEqual([all.births.size, all.inheritances.size], [0, 0]);
  }
  const shifted = { ...file, pgoff: page };
  const all = plan(
    [
      task(1, [vma(0n, 10n, file)], common(0n, 8n)),
      task(2, [vma(1n, 10n, shifted)], common(1n, 7n)),
    ],
    { 1: [2] },
  );
  deepEqual(stepsOf(all), [[2, "make", 0n]]);
  equal(all.inheritances.get(2)?.vmas.has(page), true);
});

Deno.test("planSharing() does without where two memories would be at one place in one task", () => {
  const tasks = [
    task(2, [vma(0n, 10n)], common(0n, 8n)),
    task(3, [vma(0n, 10n)], common(0n, 8n)),
    task(4, [vma(5n, 10n)], common(5n, 2n, 0n, "parent/pages-2.img")),
    task(5, [vma(5n, 10n)], common(5n, 2n, 0n, "parent/pages-2.img")),
  ];
  const together = plan(tasks, { 1: [2, 3, 4, 5] });
  deepEqual([...together.inheritances.keys()], []);
  const root = task(1, [], own(90n, 1n, 1));
  deepEqual([...plan([root, ...tasks], { 1: [2, 3, 4, 5] }).inheritances.keys()], [2, 3]);
  const apart = plan([root, ...tasks], { 1: [2, 4], 2: [3], 4: [5] });
  deepEqual([...apart.inheritances.keys()], [2, 3, 4, 5]);
  deepEqual(stepsOf(apart), [[3, "make", 0n], [5, "make", 5n]]);
});

Deno.test("planSharing() reads what is at another place for one task than for the others", () => {
  const all = plan(
    [
      task(1, [vma(0n, 10n)], common(0n, 8n)),
      task(2, [vma(0n, 10n)], common(0n, 4n), common(4n, 4n, 20n)),
    ],
    { 1: [2] },
  );
  deepEqual(all.inheritances.get(2)?.runs, [common(4n, 4n, 20n)]);
});

Deno.test("planSharing() looks for each memory whether it is cancelled", () => {
  const alike = (pid: number) =>
    task(pid, [vma(0n, 10n), vma(20n, 30n)], common(0n, 8n), common(20n, 8n));
  let checks = 0;
  plan([alike(1), alike(2)], { 1: [2] }, () => void checks++);
  equal(checks, 2);
});

Deno.test("planSharing() has all that any of the users have in common memory", () => {
  const { births } = plan(
    [
      task(1, [vma(0n, 10n)], common(0n, 4n)),
      task(2, [vma(0n, 10n)], common(0n, 4n)),
      task(3, [vma(0n, 10n)], common(2n, 6n)),
    ],
    { 1: [2, 3] },
  );
  deepEqual(births.get(2)?.map(({ memory }) => memory.runs), [[common(0n, 8n)]]);
});
