/**
 * The restore hooks.
 *
 * @module
 */
import {
  type LoadContext,
  remapPath,
  type RestoreHooks,
  type RestoreSession,
  type TaskPlanner,
  type TreePlanner,
} from "../../core/plugin.ts";
import type { mm_entry } from "../../images/gen/memory_pb.ts";
import { VMA_ANON_SHARED, VMA_AREA_SYSVIPC } from "../../images/flags.ts";
import { MEMFD_INODE, MM } from "../../images/kinds/memory.ts";
import { uniqueById } from "../../images/unique.ts";
import { ghostIds, linkedIds } from "../../core/restore/file_remaps.ts";
import { FILES } from "../../images/kinds/files.ts";
import { executableProblem } from "./executable.ts";
import { LoadedMemory } from "./loaded_memory.ts";
import { memfdPlanner } from "./memfd.ts";
import { loadRings, parsePossible, type RequestLimit, requestProblem } from "./plan_aio.ts";
import { ObjectPlans } from "./plan_objects.ts";
import { SegmentPlans } from "./plan_segments.ts";
import { addBirthSteps } from "./plan_common.ts";
import { planSharing, type SharingPlan, type SharingTask } from "./plan_sharing.ts";
import { ownContents, planMemory, type TaskMemory } from "./plan_task.ts";
import {
  descriptorKey,
  isMapped,
  isShareable,
  MappedDescriptors,
  mappingPlanners,
} from "./planners.ts";
import { describeParts, isVdsoCode, ownVdso, placeVdso, vdsoParts } from "./vdso.ts";

const O_WRONLY = 1;

/** Makes the hooks for one restore. */
export function restoreMemory(session: RestoreSession): RestoreHooks {
  const { images, machine } = session;
  const loaded = new LoadedMemory(session);
  const objects = new ObjectPlans(session);
  const segments = new SegmentPlans(session);
  const descriptors = new Map<TaskPlanner, MappedDescriptors>();
  const planners = mappingPlanners(objects, (task) => descriptors.get(task) as MappedDescriptors);
  let sharing: SharingPlan | undefined;
  let exeFd = -1, sink = -1;
  let sealed = false;
  const sharingTask = (pid: number, memory: TaskMemory): SharingTask => ({
    pid,
    vmas: memory.mm.vmas.filter((vma) =>
      isShareable(vma) && planners.includes(session.mappingPlanner(vma, memory.mm))
    ),
    runs: ownContents(memory),
  });

  return {
    descriptors: [memfdPlanner(objects)],
    mappings: [...planners, segments.planner],

    load(context) {
      let vdso: Uint8Array | undefined;
      segments.load(context);
      if (images.has(MEMFD_INODE, null)) {
        const inodes = images.readList(MEMFD_INODE, null);
        const path = images.pathOf(MEMFD_INODE, null);
        uniqueById(inodes, ({ inodeId }) => inodeId, path, "inode");
        uniqueById(inodes, ({ shmid }) => shmid, path, "shared memory");
        for (const entry of inodes) objects.addMemfd(entry);
      }
      const executables = new Map<number, string>();
      for (const { pid } of context.tasks) {
        // Zombies have none, and tasks that share another one's.
        if (!images.has(MM, pid)) continue;
        session.check();
        const task = loaded.load(
          pid,
          ({ mm, runs }) => loadRings(pid, mm.vmas, runs, readPages, possibleProcessors, context),
        );
        segments.addTask(pid, task.mm, images.pathOf(MM, pid), context);
        for (const vma of task.mm.vmas) {
          const shared = (vma.status & VMA_ANON_SHARED) !== 0;
          if (!shared || (vma.status & VMA_AREA_SYSVIPC) !== 0) continue;
          objects.addAnonymous(vma.shmid, vma.pgoff + (vma.end - vma.start), vma.flags);
        }
        vdso ??= ownVdso();
        checkVdso(pid, task, vdso, session, context);
        checkExecutable(pid, task, executablePaths(session, executables), context);
      }
      const { rings } = loaded;
      if (rings.length === 0) return;
      const limit = requestLimit();
      // What a tree has that is to end is free by then.
      const problem = requestProblem(rings, session.rehearsal ? { ...limit, used: 0 } : limit);
      if (problem !== undefined) context.problem(problem);
    },

    *occupies(pid) {
      yield* loaded.occupied(pid);
      yield* segments.ranges(pid);
    },

    planTree(tree) {
      exeFd = tree.service();
      if (loaded.rings.length > 0) {
        sink = tree.serviceFile("/dev/null", O_WRONLY);
      }
      objects.plan(tree);
      segments.plan(tree, objects);
      sharing = planCommon(tree, loaded, sharingTask, () => session.check());
    },

    planTask(task) {
      if (task.memoryOwner !== task.pid) return;
      const own = loaded.take(task.pid);
      const inheritance = sharing?.inheritanceOf(sharingTask(task.pid, own));
      const memory = { ...own, inheritance };
      const mapped = memory.mm.vmas.filter((vma) =>
        isMapped(vma) && !inheritance?.vmas.has(vma.start)
      );
      descriptors.set(task, new MappedDescriptors(mapped, descriptorKey));
      const plannerOf: RestoreSession["mappingPlanner"] = (vma, mm) =>
        session.mappingPlanner(vma, mm);
      const memfdOf = ({ exeFileId }: mm_entry): number | undefined => {
        const { memfd } = task.files.get(exeFileId);
        return memfd && objects.memfd(memfd.inodeId).service;
      };
      planMemory(task, memory, { machine, plannerOf, exeFd, sink, memfdOf });
      if (!sealed) objects.planSeals(task.program("contents"));
      sealed = true;
    },
  };
}

/** Plans what tasks inherit of each other's memory. */
function planCommon(
  tree: TreePlanner,
  loaded: LoadedMemory,
  sharingTask: (pid: number, memory: TaskMemory) => SharingTask,
  check: () => void,
): SharingPlan | undefined {
  const [root] = tree.tasks;
  if (root === undefined) return undefined;
  // Most trees have nothing in common.
  const files = loaded.sharedFiles;
  if (files.size === 0) return undefined;
  // What one hides from its children it would hide from those of all others with the same memory.
  if (tree.tasks.some(({ pid, memoryOwner }) => memoryOwner !== pid)) return undefined;
  function* tasks(): Generator<SharingTask> {
    for (const { pid } of tree.tasks) {
      check();
      const memory = loaded.look(pid);
      if (memory !== undefined) yield sharingTask(pid, memory);
    }
  }
  const plan = planSharing(tasks(), files, root.pid, (pid) => tree.offspring(pid), check);
  for (const task of tree.tasks) {
    for (const child of tree.offspring(task.pid)) {
      const steps = plan.births.get(child);
      if (steps === undefined) continue;
      addBirthSteps(
        task.beforeBirth(child),
        steps,
        task.files,
        (pid) => loaded.hugePagesOf(pid),
      );
    }
  }
  return plan;
}

/** The paths of regular files that are there by name, by id; read when first asked for. */
function executablePaths(
  { images, options }: RestoreSession,
  known: Map<number, string>,
): ReadonlyMap<number, string> {
  if (known.size > 0 || !images.has(FILES, null)) return known;
  const ghosts = ghostIds(images), linked = linkedIds(images);
  for (const { id, reg } of images.readList(FILES, null)) {
    // Deleted files are made anew, with the permissions that they had, or get their name back.
    if (reg !== undefined && !ghosts.has(id) && !linked.has(id)) {
      known.set(id, remapPath(reg.name, options));
    }
  }
  return known;
}

/** Reports an executable that cannot be one any more. */
function checkExecutable(
  pid: number,
  { mm }: TaskMemory,
  paths: ReadonlyMap<number, string>,
  context: LoadContext,
): void {
  const path = paths.get(mm.exeFileId);
  const problem = path === undefined ? undefined : executableProblem(path, path);
  if (problem !== undefined) context.problem({ pid, ...problem });
}

/** Reports a vDSO that is not this kernel's. */
function checkVdso(
  pid: number,
  { mm, runs }: TaskMemory,
  own: Uint8Array | undefined,
  { machine }: RestoreSession,
  context: LoadContext,
): void {
  const parts = vdsoParts(mm.vmas);
  const hint = "restore it on the kernel that it was saved on";
  if (parts.length === 0) return;
  if (placeVdso(parts, machine.vdso) === undefined) {
    const saved = parts.map((part) => ({ size: part.end - part.start, code: isVdsoCode(part) }));
    const here = machine.vdso.map(({ name, size }) => ({ size, code: name === "[vdso]" }));
    context.problem({
      pid,
      what: "the kernel that it was saved on has another vDSO than this one: " +
        `${describeParts(saved)} bytes instead of ${describeParts(here)}`,
      hint,
    });
    return;
  }
  const code = parts.find(isVdsoCode);
  if (code === undefined) return;
  const { start, end } = code;
  const saved = runs.find((run) => run.start <= start && run.start + run.size >= end);
  if (saved === undefined) return;
  const bytes = readPages(saved.pages, saved.offset + (start - saved.start), Number(end - start));
  if (own === undefined || bytes.some((byte, index) => byte !== own[index])) {
    context.problem({
      pid,
      what: "the kernel that it was saved on has another vDSO than this one (its code differs)",
      hint,
    });
  }
}

/** How many processors this machine can have. */
function requestLimit(): RequestLimit {
  const read = (name: string) => Number(Deno.readTextFileSync(`/proc/sys/fs/${name}`));
  return { most: read("aio-max-nr"), used: read("aio-nr") };
}

function possibleProcessors(): number {
  return parsePossible(Deno.readTextFileSync("/sys/devices/system/cpu/possible"));
}

function readPages(path: string, offset: bigint, size: number): Uint8Array {
  using file = Deno.openSync(path);
  file.seekSync(offset, Deno.SeekMode.Start);
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size;) {
    const count = file.readSync(bytes.subarray(done));
    if (count === null) break;
    done += count;
  }
  return bytes;
}
