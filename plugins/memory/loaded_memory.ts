/**
 * The memory of a tree as the images tell it. Of a few tasks it is kept; of thousands, which would take tens of
 * megabytes, it is read again when it is planned.
 *
 * @module
 */
import type { RestoreSession } from "../../core/plugin.ts";
import { VMA_AREA_SYSVIPC } from "../../images/flags.ts";
import { MM, PAGEMAP } from "../../images/kinds/memory.ts";
import { MM_EXTRA } from "../../images/kinds/mm_extra.ts";
import type { SavedRing } from "./plan_aio.ts";
import { SharedFiles } from "./plan_sharing.ts";
import type { TaskMemory } from "./plan_task.ts";
import { isMapped } from "./planners.ts";
import { taskRuns } from "./task_runs.ts";
import { checkMappings, checkPagesFiles, checkRuns } from "./validate.ts";
import { isVdsoPart } from "./vdso.ts";

/** Of more tasks than these not all is kept. */
const MOST_KEPT = 200;

/** Addresses that something of a task has. */
interface Occupied {
  readonly start: bigint;
  readonly end: bigint;
}

/** The setting of prctl(PR_SET_THP_DISABLE) that a task has. */
interface HugePages {
  readonly isOff: boolean;
  readonly flags: number;
}

/** What is known of the memory of a task that is not kept. */
interface Brief {
  readonly occupied: readonly Occupied[];
  readonly hugePages: HugePages;
}

/** What has been read of the memory of tasks. */
export class LoadedMemory {
  readonly #session: RestoreSession;
  readonly #kept = new Map<number, TaskMemory>();
  readonly #brief = new Map<number, Brief>();
  /** Programs of one kind are often at the same places: each is one object. */
  readonly #places = new Map<string, Occupied>();
  readonly #sharedFiles = new SharedFiles();

  /** @param session that of the restore, whose images are read */
  constructor(session: RestoreSession) {
    this.#session = session;
  }

  /** Reads the memory of a task; its rings are found by `ringsOf`. @throws {StasisError} `bad-image` */
  load(
    pid: number,
    ringsOf: (memory: Omit<TaskMemory, "rings">) => readonly SavedRing[],
  ): TaskMemory {
    const read = this.#read(pid);
    const memory = { ...read, rings: ringsOf(read) };
    this.#sharedFiles.add(memory.runs);
    const isSpecial = memory.rings.length > 0 ||
      // The plugin knows these by their identity.
      memory.mm.vmas.some(({ status }) => (status & VMA_AREA_SYSVIPC) !== 0);
    if (isSpecial || this.#kept.size < MOST_KEPT) this.#kept.set(pid, memory);
    else {
      const occupied = occupiedBy(memory).map((range) => this.#intern(range));
      this.#brief.set(pid, { occupied, hugePages: hugePagesOf(memory) });
      this.#forget(pid);
    }
    return memory;
  }

  /** The pages files in which several tasks have pages. */
  get sharedFiles(): ReadonlySet<string> {
    return this.#sharedFiles.all;
  }

  /** The rings of io_setup(2) of all tasks. */
  get rings(): SavedRing[] {
    return [...this.#kept.values()].flatMap(({ rings }) => rings);
  }

  /** Where a task has something. */
  occupied(pid: number): readonly Occupied[] {
    const kept = this.#kept.get(pid);
    return kept === undefined ? this.#brief.get(pid)?.occupied ?? [] : occupiedBy(kept);
  }

  /** The setting of huge pages of a task that has memory of its own. */
  hugePagesOf(pid: number): HugePages {
    return this.#brief.get(pid)?.hugePages ?? hugePagesOf(this.#kept.get(pid) as TaskMemory);
  }

  /**
   * The memory of a task, for the moment; undefined of one that has none of its own.
   *
   * @throws {StasisError} `bad-image`
   */
  look(pid: number): TaskMemory | undefined {
    if (!this.#brief.has(pid)) return this.#kept.get(pid);
    const memory = this.#again(pid);
    this.#forget(pid);
    return memory;
  }

  /** The memory of a task, which is wanted no more afterwards. @throws {StasisError} `bad-image` */
  take(pid: number): TaskMemory {
    const memory = this.#kept.get(pid) ?? this.#again(pid);
    this.#kept.delete(pid);
    return memory;
  }

  #forget(pid: number): void {
    this.#session.images.forget(pid, [MM, MM_EXTRA, PAGEMAP]);
  }

  #again(pid: number): TaskMemory {
    return { ...this.#read(pid), rings: [] };
  }

  #read(pid: number): Omit<TaskMemory, "rings"> {
    const { images } = this.#session;
    const mm = images.read(MM, pid);
    checkMappings(mm, images.pathOf(MM, pid));
    const extra = images.has(MM_EXTRA, pid) ? images.read(MM_EXTRA, pid) : undefined;
    const runs = taskRuns(images, pid);
    checkRuns(mm, runs, images.pathOf(PAGEMAP, pid));
    checkPagesFiles(runs);
    return { mm, extra, runs };
  }

  #intern(range: Occupied): Occupied {
    const key = `${range.start} ${range.end}`;
    let one = this.#places.get(key);
    if (one === undefined) this.#places.set(key, one = range);
    return one;
  }
}

function hugePagesOf({ mm, extra }: TaskMemory): HugePages {
  return { isOff: mm.thpDisabled === true, flags: extra?.thpDisableFlags ?? 0 };
}

function occupiedBy({ mm }: TaskMemory): Occupied[] {
  return mm.vmas.filter((vma) => isMapped(vma) || isVdsoPart(vma))
    .map(({ start, end }) => ({ start, end }));
}
