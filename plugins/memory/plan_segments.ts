/**
 * System V shared memory at restore. The seed makes the segments that are not there, under their ids, and gives all of
 * them their contents; every task attaches them by itself, so that the kernel counts and shmdt(2) knows them.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { sysvExternal, sysvName } from "../../core/checkpoint/sysv_owners.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { PROT } from "../../core/linux/mman.ts";
import { readSegments, SHM_DEST, SHM_LOCKED } from "../../core/linux/procfs/mod.ts";
import { IPC, SHM } from "../../core/linux/sysv_ipc.ts";
import type {
  LoadContext,
  MappingPlanner,
  RestoreSession,
  TreePlanner,
} from "../../core/plugin.ts";
import { isSameBoot, planSysv, planSysvOwner, SysvHere } from "../../core/restore/sysv_objects.ts";
import type { ipc_desc_entry, ipc_shm_entry } from "../../images/gen/sysv_ipc_pb.ts";
import type { mm_entry, vma_entry } from "../../images/gen/memory_pb.ts";
import { VMA_AREA_SYSVIPC } from "../../images/flags.ts";
import { IPC_NAMESPACE, IPCNS_SHM } from "../../images/kinds/sysv_ipc.ts";
import { uniqueById } from "../../images/unique.ts";
import { explainNoPages } from "../../core/restore/no_huge_pages.ts";
import { pageSizeOf, roundUp, unitOf } from "./huge_pages.ts";
import type { ObjectPlans } from "./plan_objects.ts";
import { attachedBy } from "./segments.ts";

const O_RDONLY = 0;

/** What one shmat(2) has made of a segment, as far as it is mapped still. */
interface Attachment {
  readonly id: number;
  /** Where the segment begins. */
  readonly start: bigint;
  readonly end: bigint;
  readonly vmas: readonly vma_entry[];
}

/** The segments of a tree. */
export class SegmentPlans {
  readonly #session: RestoreSession;
  readonly #entries = new Map<number, ipc_shm_entry>();
  /** The ids of those that are there already. */
  readonly #there = new Set<number>();
  readonly #attachments = new Map<number, Attachment[]>();
  readonly #byMapping = new Map<vma_entry, Attachment>();

  constructor(session: RestoreSession) {
    this.#session = session;
  }

  /** Reads the images, and looks at what is here. @throws {StasisError} `bad-image` */
  load(context: LoadContext): void {
    const { images, rehearsal } = this.#session;
    if (!images.has(IPCNS_SHM, IPC_NAMESPACE)) return;
    const path = images.pathOf(IPCNS_SHM, IPC_NAMESPACE);
    const entries = images.readList(IPCNS_SHM, IPC_NAMESPACE);
    uniqueById(entries, ({ desc }) => desc?.id ?? 0, path, "segment");
    const here = new SysvHere("shm", rehearsal ? [] : readSegments(), isSameBoot(images));
    for (const entry of entries) {
      const { size } = entry;
      const desc = entry.desc as ipc_desc_entry;
      const name = sysvName("shm", desc);
      if (size === 0n || size > MAX_SIZE || desc.id > MAX_ID) {
        throw new StasisError("bad-image", `${path} has an impossible segment, ${desc.id}`);
      }
      const huge = entry.hugetlbFlag ?? 0;
      if (huge !== 0 && (huge & ~HUGE_SIZE) !== SHM.HUGETLB) {
        throw new StasisError("bad-image", `${path} has impossible flags of a segment, ${huge}`);
      }
      if (entry.inPagemaps !== true) {
        context.problem({ what: `${name} is in the images with its contents in another form` });
      }
      this.#entries.set(desc.id, entry);
      const found = here.find(desc, context);
      if (found === undefined) continue;
      this.#there.add(desc.id);
      if (found.size !== size || found.attached > 0 || (found.mode & SHM_DEST) !== 0) {
        const [pid] = attachedBy(desc.id);
        context.problem({
          what: found.size !== size
            ? `${name} had ${size} bytes and has ${found.size} now`
            : `${name} is attached by ${pid === undefined ? "somebody" : `process ${pid}`}`,
          hint: "end who uses it, or remove it (ipcrm): it is made anew then",
        });
      }
    }
  }

  /** Takes note of what a task has attached. @throws {StasisError} `bad-image` */
  addTask(pid: number, { vmas }: mm_entry, file: string, context: LoadContext): void {
    const found = new Map<string, Attachment & { readonly vmas: vma_entry[] }>();
    for (const vma of vmas) {
      if ((vma.status & VMA_AREA_SYSVIPC) === 0) continue;
      const id = Number(vma.shmid);
      const start = vma.start - vma.pgoff;
      const size = this.#sizeOf(id, context);
      const end = start + roundUp(size ?? 0n, unitOf(vma));
      if (size !== undefined && (start <= 0n || vma.end > end)) {
        throw new StasisError("bad-image", `${file} maps more than there is of the segment ${id}`);
      }
      const key = `${id} ${start}`;
      const attachment = found.get(key) ?? { id, start, end, vmas: [] };
      attachment.vmas.push(vma);
      found.set(key, attachment);
      this.#byMapping.set(vma, attachment);
    }
    this.#attachments.set(pid, [...found.values()]);
  }

  /** The size of a segment; undefined, and reported, where it is neither in the images nor here. */
  #sizeOf(id: number, context: LoadContext): bigint | undefined {
    const saved = this.#entries.get(id)?.size;
    const size = saved ?? readSegments().find((segment) => segment.id === id)?.size;
    if (size === undefined) {
      context.problem({
        what: `the System V shared memory ${id} is not in the images (--external ${
          sysvExternal("shm", id)
        }), and not here`,
        hint: "make it with this id (/proc/sys/kernel/shm_next_id) before the restore",
      });
    }
    return size;
  }

  /** The ranges that a task needs for a moment: whole segments. */
  *ranges(pid: number): Generator<{ readonly start: bigint; readonly end: bigint }> {
    yield* this.#attachments.get(pid) ?? [];
  }

  /** Adds the making of all segments to the seed's program. */
  plan(tree: TreePlanner, objects: ObjectPlans): void {
    const [root] = tree.tasks;
    const attached = new Set([...this.#attachments.values()].flat().map(({ id }) => id));
    for (const [id, { desc, size, hugetlbFlag: flags = 0 }] of this.#entries) {
      if (desc === undefined || root === undefined) continue;
      const made = !this.#there.has(id);
      const page = flags === 0 ? PAGE_SIZE : pageSizeOf(flags);
      const explain = flags === 0 ? undefined : explainNoPages;
      if (made) planSysv(tree, "shm", desc, { size, flags, explain });
      else planSysvOwner(tree, "shm", desc);
      objects.fillSegment(tree, id, size, page, made);
      if ((desc.mode & SHM_LOCKED) !== 0) tree.seed.call("shmctl", id, SHM.LOCK, 0);
      // Only as long as nobody has it attached it can be attached: this removes it with the last task.
      if ((desc.mode & SHM_DEST) !== 0) root.program("contents").call("shmctl", id, IPC.RMID, 0);
      // So that the kernel knows it as the tree's.
      if (attached.has(id)) continue;
      const program = root.program("open");
      program.call("shmdt", program.call("shmat", id, 0, 0));
    }
  }

  /** Attaches it in a task. */
  readonly planner: MappingPlanner = {
    kind: "System V shared memory",
    restores: ({ status }) => (status & VMA_AREA_SYSVIPC) !== 0,
    plan: (vma, task) => {
      const attachment = this.#byMapping.get(vma);
      if (attachment === undefined) throw new Error("a mapping that was not loaded");
      const { id, start, end, vmas } = attachment;
      const program = task.program("memory");
      const readOnly = vmas.every(({ fdflags }) => fdflags === O_RDONLY);
      if (vma === vmas[0]) {
        program.expect(start, "shmat", id, start, readOnly ? SHM.RDONLY : 0);
        let at = start;
        for (const part of [...vmas, { start: end, end }]) {
          if (part.start > at) program.call("munmap", at, part.start - at);
          at = part.end;
        }
      }
      const prot = readOnly ? PROT.READ : PROT.READ | PROT.WRITE;
      if (vma.prot !== prot) program.call("mprotect", vma.start, vma.end - vma.start, vma.prot);
    },
  };
}

/** As much as there are addresses in user space. */
const MAX_SIZE = 1n << 47n;
const MAX_ID = 0x7fff_ffff;
/** The bits of flags of shmget(2) that say the size of reserved huge pages. */
const HUGE_SIZE = 0x3f << 26;
