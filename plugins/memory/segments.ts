/**
 * System V shared memory at the checkpoint: segments that the tree has attached, and those that belong to it
 * (`core/checkpoint/sysv_owners.ts`) and that nobody has attached just now.
 *
 * Attached ones are read through a mapping of the tree; others are attached here for a moment, and then by a task of
 * the tree, so that only their times tell.
 *
 * @module
 */
import { descends } from "../../core/checkpoint/outside_holders.ts";
import {
  isExternalSysv,
  mayHaveUsed,
  outsider,
  sysvExternal,
  sysvName,
  sysvOwner,
  sysvTree,
  unknownSysv,
} from "../../core/checkpoint/sysv_owners.ts";
import { hugePageSize } from "../../core/checkpoint/file_location.ts";
import { Task } from "../../core/checkpoint/task.ts";
import { PAGE_SIZE } from "../../core/linux/address.ts";
import { errnoName, isErrno } from "../../core/linux/errno.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import {
  mappingKind,
  readMaps,
  readProcesses,
  readSegments,
  type SysvSegment,
  type Vma,
} from "../../core/linux/procfs/mod.ts";
import { SHM } from "../../core/linux/sysv_ipc.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";
import type {
  CheckpointSession,
  FrozenTask,
  MappingDumper,
  SurveyContext,
} from "../../core/plugin.ts";
import { SyscallProgram } from "../../core/remote/program.ts";
import { StasisError } from "../../base/errors.ts";
import { VMA_ANON_SHARED, VMA_AREA_REGULAR, VMA_AREA_SYSVIPC } from "../../images/flags.ts";
import { IPC_NAMESPACE, IPCNS_SHM, SEGMENT_PAGES } from "../../images/kinds/sysv_ipc.ts";
import { mapFilesPath } from "./file_check.ts";
import { isReserved, reservedPageSize, roundUp, sizeFlag } from "./huge_pages.ts";
import { openPath } from "./open_path.ts";
import type { SharedObjects } from "./shared_objects.ts";
import { describeVma } from "./vma_image.ts";

const O_RDONLY = 0, O_RDWR = 2;

/** Whether a mapping is System V shared memory. */
export function isSegment(vma: Pick<Vma, "name" | "deleted">): boolean {
  return mappingKind(vma) === "sysv-shm";
}

/** The segments of a tree. */
export class Segments {
  readonly #session: CheckpointSession;
  /** Those to be saved. */
  #saved: readonly SysvSegment[] = [];
  /** What is said of those of which nobody knows whose they are. */
  #notes: string[] = [];
  /** The sizes of all segments that there were, by id: they never change. */
  readonly #sizes = new Map<number, bigint>();
  /** A mapping of each that the tree has attached, by id. */
  #attached = new Map<number, { readonly task: Task; readonly vma: Vma }>();

  constructor(session: CheckpointSession) {
    this.#session = session;
  }

  /** Finds out which segments are the tree's, and reports those that others have, too. */
  survey(context: SurveyContext): void {
    this.#saved = [];
    this.#notes = [];
    this.#attached = new Map();
    const segments = this.#read();
    if (segments.length === 0) return;
    const { options } = this.#session;
    const tasks = context.tasks.filter((task) => !task.isZombie);
    const counts = new Map<number, number>();
    for (const task of tasks) {
      for (const vma of task.vmas) {
        if (!isSegment(vma)) continue;
        const id = Number(vma.inode);
        counts.set(id, (counts.get(id) ?? 0) + 1);
        if (!this.#attached.has(id)) this.#attached.set(id, { task, vma });
      }
    }
    const tree = sysvTree(context.tasks);
    this.#saved = segments.filter((segment) => {
      const { id, creator, last, attached, changed, used } = segment;
      if (isExternalSysv(options, "shm", id)) return false;
      const own = counts.get(id) ?? 0;
      const at = Math.max(changed, used);
      // Who made it and has it attached no more has no part in it.
      const users = own > 0 ? [] : [creator, last];
      const { whose, outside } = sysvOwner(
        segment,
        users,
        own > 0,
        tree,
        (pid) => mayHaveUsed(pid, at),
      );
      if (whose === "unknown") this.#notes.push(unknownSysv("shm", segment, outside));
      if (whose === "stranger" || whose === "unknown") return false;
      if (attached > own) this.#refuseAttached(context, segment, tree.pids);
      else if (whose === "shared") {
        this.#refuse(context, segment, `${outsider(outside[0] as number)} uses`);
      }
      return true;
    });
  }

  #read(): readonly SysvSegment[] {
    const segments = readSegments();
    for (const { id, size } of segments) this.#sizes.set(id, size);
    return segments;
  }

  /** The size of the segment that a mapping is of; 0 where it is gone. */
  #sizeOf({ inode }: Vma): bigint {
    const id = Number(inode);
    if (!this.#sizes.has(id)) this.#read();
    return this.#sizes.get(id) ?? 0n;
  }

  /** Has the task that attached a segment last do so again: by that the next checkpoint knows it as the tree's. */
  #giveBack(segment: SysvSegment, tasks: readonly FrozenTask[]): void {
    const { id, last, creator } = segment;
    const task = [last, creator].map((pid) => tasks.find((one) => one.pid === pid)).find(Boolean) ??
      tasks[0];
    if (task === undefined) return;
    const program = new SyscallProgram("the last user of a segment");
    const attached = program.try("shmat", id, 0, SHM.RDONLY);
    program.try("shmdt", attached);
    if (!isErrno(task.remote.run(program).result(attached))) return;
    this.#session.note(
      `task ${task.pid} cannot attach ${sysvName("shm", segment)} any more: ` +
        "another checkpoint may not know that it is the tree's",
    );
  }

  #refuseAttached(
    context: SurveyContext,
    segment: SysvSegment,
    inside: ReadonlySet<number>,
  ): void {
    const holders = attachedBy(segment.id).filter((pid) =>
      !inside.has(pid) && !descends(pid, inside)
    );
    // A running tree may have forked or attached meanwhile: it is looked at again when it stands still.
    if (holders.length === 0 && !context.frozen) return;
    const [pid] = holders;
    const who = pid === undefined ? "somebody outside of the tree" : outsider(pid);
    this.#refuse(context, segment, `${who} has attached`);
  }

  #refuse(context: SurveyContext, segment: SysvSegment, whoDoes: string): void {
    context.problem({
      pid: this.#attached.get(segment.id)?.task.pid ?? context.root.pid,
      what: `${whoDoes} ${sysvName("shm", segment)}, too`,
      hint: `end that first, or leave the memory to whoever restores (--external ${
        sysvExternal("shm", segment.id)
      })`,
    });
  }

  /** Saves what tasks map of it. */
  readonly dumper: MappingDumper = {
    kind: "System V shared memory",
    claims: isSegment,
    survey: (vma, task) => coveredProblem(vma, task, this.#sizeOf(vma)),
    dump: (vma, task) => {
      this.#session.requirePlugin();
      return describeVma(vma, {
        status: VMA_AREA_REGULAR | VMA_ANON_SHARED | VMA_AREA_SYSVIPC,
        anonymous: true,
        shmid: vma.inode,
        fdflags: vma.flags.has("mw") ? O_RDWR : O_RDONLY,
        pageSize: reservedPageSize(vma, task),
      });
    },
  };

  /**
   * Writes the segments, and has their contents saved.
   *
   * @param tasks the live ones of the tree
   * @returns what has to stay open until they are
   */
  save(shared: SharedObjects, tasks: readonly FrozenTask[]): Disposable {
    for (const text of this.#notes) this.#session.note(text);
    using opened = new DisposableStack();
    for (const segment of this.#saved) {
      const { key, uid, gid, cuid, cgid, mode, id, size } = segment;
      const attached = this.#attached.get(id);
      let path;
      if (attached !== undefined) path = mapFilesPath(attached.task.liveTid, attached.vma);
      else {
        path = `/proc/self/fd/${opened.use(openDetached(segment)).fd}`;
        this.#giveBack(segment, tasks);
      }
      const pageSize = hugePageSize(path);
      this.#session.requirePlugin();
      this.#session.writer.append(IPCNS_SHM, IPC_NAMESPACE, {
        desc: { key, uid, gid, cuid, cgid, mode, id },
        size,
        inPagemaps: true,
        hugetlbFlag: pageSize && (SHM.HUGETLB | sizeFlag(pageSize)),
      });
      shared.note(SEGMENT_PAGES + BigInt(id), path);
    }
    return opened.move();
  }
}

/** Opens a segment that nobody has attached. @throws {StasisError} `syscall`, `no-privilege` */
function openDetached(segment: SysvSegment) {
  const address = syscall(SYSCALLS.shmat, segment.id, 0, SHM.RDONLY);
  if (isErrno(address)) {
    const errno = errnoName(-address);
    throw new StasisError("syscall", `${sysvName("shm", segment)} cannot be read: ${errno}`, {
      errno,
      hint: "run as root; somebody may have removed it meanwhile",
    });
  }
  try {
    // How long it is depends on the size of its pages, which nothing else tells.
    const mapping = readMaps(Deno.pid).find(({ start }) => start === address);
    if (mapping === undefined) throw new Error("what was just attached is not there");
    return openPath(mapFilesPath(Deno.pid, mapping), O_RDONLY);
  } finally {
    syscall(SYSCALLS.shmdt, address);
  }
}

/** Where a mapping's segment would begin if all of it were attached as this part is. */
function baseOf(vma: Vma): bigint {
  return vma.start - vma.offset;
}

/** A segment is attached whole at restore, and what the program had unmapped of it is unmapped then. */
function coveredProblem(
  vma: Vma,
  { vmas, liveTid }: Task,
  size: bigint,
): ReturnType<NonNullable<MappingDumper["survey"]>> {
  const id = Number(vma.inode);
  const base = baseOf(vma);
  const page = isReserved(vma) ? hugePageSize(mapFilesPath(liveTid, vma)) : undefined;
  const end = base + roundUp(size, BigInt(page ?? PAGE_SIZE));
  const other = vmas.find((one) =>
    one.start < end && one.end > base &&
    !(isSegment(one) && one.inode === vma.inode && baseOf(one) === base)
  );
  if (other === undefined) return undefined;
  return {
    what: `its System V shared memory ${id} at ${vma.start.toString(16)} is a part of a segment, ` +
      `and where the rest would be (${other.start.toString(16)}) is something else`,
    hint: "have the program attach it at another place",
  };
}

/** The processes that have a segment attached, as far as they can be looked at. */
export function attachedBy(id: number): number[] {
  const inode = BigInt(id);
  return readProcesses().filter((pid) => {
    try {
      const maps = readMaps(pid);
      // A first thread that has ended has none, whatever the others have.
      const seen = maps.length > 0 ? maps : readMaps(new Task(pid).liveTid);
      return seen.some((mapping) => isSegment(mapping) && mapping.inode === inode);
    } catch {
      return false;
    }
  });
}
