/**
 * What is in an image directory, gathered into plain data: what `stasis inspect --json` prints and the text is
 * made of. Reads images only, those of CRIU too; addresses are strings in hexadecimal.
 *
 * @module
 */
import type { file_entry } from "../../images/gen/descriptors_pb.ts";
import type { file_lock_entry } from "../../images/gen/file_locks_pb.ts";
import type { vma_entry } from "../../images/gen/memory_pb.ts";
import type { core_entry } from "../../images/gen/thread_pb.ts";
import type { task_kobj_ids_entry } from "../../images/gen/tree_pb.ts";
import type { sud_entry } from "../../images/gen/sud_pb.ts";
import { TASK_DEAD, TASK_STOPPED } from "../../images/flags.ts";
import { CORE, IDS, INVENTORY, PSTREE } from "../../images/kinds/core.ts";
import { FDINFO, FILE_LOCKS, FILES } from "../../images/kinds/files.ts";
import { MM, PAGEMAP } from "../../images/kinds/memory.ts";
import { PHASES } from "../../images/kinds/phases.ts";
import { SUD } from "../../images/kinds/sud.ts";
import { checkpointsOf } from "../../images/layers.ts";
import { type ImageDirectory, PE_PARENT, PE_PRESENT } from "../../images/mod.ts";
import { uniqueById } from "../../images/unique.ts";
import { validFiles } from "../../images/validate_files.ts";
import { validateTree } from "../../images/validate_tree.ts";
import { describeLock } from "../../plugins/locks/lock.ts";
import { readCommandLine } from "./command_line.ts";
import { inspectGroups } from "./control_groups.ts";
import { describeFile } from "./file.ts";
import { describeQueues } from "./queues.ts";
import { describeTerminals } from "./terminal.ts";
import { type FilterInfo, FilterInspector, type SeccompInfo } from "./filters.ts";
import { leaderStatuses } from "./leader.ts";
import { oddNames } from "./thread_names.ts";
import { describeMapping, type MappingInfo } from "./mapping.ts";
import {
  type ActionInfo,
  describeActions,
  describeQueue,
  describeThreadSignals,
  type ThreadSignals,
} from "./signals.ts";
import { describeTimers } from "./timers.ts";
import { inspectSysv, type SysvInfo } from "./sysv_ipc.ts";

/** A whole image directory. */
export interface InspectedImages {
  readonly directory: string;
  /** `img_version` of the inventory. */
  readonly version: number;
  /** The plugins without which it cannot be restored. */
  readonly plugins: readonly string[];
  /** The processes, parents before children. */
  readonly tasks: readonly TaskInfo[];
  /** The seccomp filters, each once; absent where no thread has any. */
  readonly filters?: readonly FilterInfo[];
  /** The System V IPC objects; absent where there are none. */
  readonly sysv?: readonly SysvInfo[];
  /** How long the phases of the checkpoint took, in their order; absent where the images do not say. */
  readonly phases?: readonly PhaseInfo[];
  /** The files of the directory. */
  readonly images: readonly { readonly name: string; readonly size: bigint }[];
  /** The sum of their sizes in bytes. */
  readonly size: bigint;
  /** The directories of the checkpoints before that are needed, too, the last one first; absent where there are none. */
  readonly parents?: readonly string[];
  /** How many bytes are known to be what was written, by their checksums; absent where nobody asked. */
  readonly verifiedBytes?: bigint;
}

/** A phase of the checkpoint. */
export interface PhaseInfo {
  /** As `-v` calls it. */
  readonly phase: string;
  /** In milliseconds. */
  readonly ms: number;
}

/** One process. */
export interface TaskInfo {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly comm: string;
  /** `zombie` and `stopped` are as in ps(1). */
  readonly state: "alive" | "stopped" | "zombie";
  /** How a zombie ended, as wait(2) tells it; or the first thread of a task whose others live. */
  readonly exitStatus?: number;
  /** Path of the program. */
  readonly exe?: string;
  /** The words of its command line, 4096 bytes of it at most; absent where the images do not have them. */
  readonly args?: readonly string[];
  readonly threads: readonly ThreadInfo[];
  /** The process whose memory this one shares (its own pid, if with none). */
  readonly memoryOf?: number;
  /** The process whose descriptor table this one shares. */
  readonly filesOf?: number;
  readonly descriptors: readonly DescriptorInfo[];
  /** The locks and leases that it is to take again; absent where there are none. */
  readonly locks?: readonly LockInfo[];
  /** The control groups that its threads were in, but for roots; absent where there are none. */
  readonly groups?: readonly string[];
  /** What it does on signals, where that is not the default; absent where all is. */
  readonly actions?: readonly ActionInfo[];
  /** Signals that wait for any of its threads, in their order; absent where there are none. */
  readonly waiting?: readonly string[];
  /** A line for each timer; absent where there are none. */
  readonly timers?: readonly string[];
  readonly mappings: readonly MappingInfo[];
  /** All that is mapped, in bytes. */
  readonly mappedBytes: bigint;
  /** How much of it is in these images, in bytes. */
  readonly savedBytes: bigint;
  /** How much of it is in the parent, in bytes: there is what several tasks have in common. */
  readonly parentBytes: bigint;
}

/** One thread. */
export interface ThreadInfo extends ThreadSignals {
  readonly tid: number;
  readonly comm?: string;
  /** The instruction pointer and the stack pointer. */
  readonly ip?: string;
  readonly sp?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** Seccomp's mode, where one is on. */
  readonly seccomp?: "strict" | "filter";
  /** Its filters by their position among all, the one installed first at the beginning. */
  readonly filters?: readonly number[];
  /** Syscall User Dispatch; null where it is off. */
  readonly sud: SudInfo | null;
}

/** Syscall User Dispatch of a thread, in the terms of prctl(2). */
export interface SudInfo {
  /** Exclusive: calls from the range are let through; inclusive: calls from it are dispatched. */
  readonly mode: "exclusive" | "inclusive";
  /** The address of the selector byte; null where there is none. */
  readonly selector: string | null;
  readonly offset: string;
  /** In bytes. */
  readonly length: bigint;
}

/** One descriptor. */
export interface DescriptorInfo {
  readonly fd: number;
  readonly kind: string;
  /** Path, position, counters and the like. */
  readonly what: string;
  readonly closeOnExec: boolean;
  /** The open file description: equal ids are the same one. */
  readonly id: number;
}

/** A lock or a lease. */
export interface LockInfo {
  /** The descriptor by which it is taken. */
  readonly fd: number;
  /** Which kind, and which bytes of the file. */
  readonly what: string;
}

/** FD_CLOEXEC (include/uapi/linux/fcntl.h). */
const FD_CLOEXEC = 1;
const PAGE_SIZE = 4096n;

/** An address as it is printed. */
export function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}

/**
 * Gathers it.
 *
 * @throws {StasisError} `bad-image` where something is missing or damaged
 */
export function inspectImages(images: ImageDirectory): InspectedImages {
  const inventory = images.read(INVENTORY, null);
  const files = validFiles(
    images.has(FILES, null) ? images.readList(FILES, null) : [],
    images.pathOf(FILES, null),
  );
  const suds = uniqueById(
    images.has(SUD, null) ? images.readList(SUD, null) : [],
    ({ tid }) => tid,
    images.pathOf(SUD, null),
    "thread",
  );
  const filters = new FilterInspector(images);
  const locks = Map.groupBy(
    images.has(FILE_LOCKS, null) ? images.readList(FILE_LOCKS, null) : [],
    ({ pid }) => pid,
  );
  const groupsOf = inspectGroups(images);
  const leaders = leaderStatuses(images);
  const names = oddNames(images);
  const owners = { memory: new Map<number, number>(), files: new Map<number, number>() };
  const isDead = (pid: number) => images.read(CORE, pid).tc?.taskState === TASK_DEAD;
  const entries = images.readList(PSTREE, null);
  validateTree(entries, isDead, images.pathOf(PSTREE, null));
  const tasks = entries.map((entry): TaskInfo => {
    const { pid, ppid, pgid, sid } = entry;
    const core = images.read(CORE, pid);
    const isZombie = isDead(pid);
    const ids = images.has(IDS, pid) ? images.read(IDS, pid) : core.ids;
    const others = entry.threads.filter((tid) => tid !== pid);
    const leaderStatus = leaders.get(pid);
    const tids = isZombie ? [] : leaderStatus === undefined ? [pid, ...others] : others;
    const cores = tids.map((tid) => tid === pid ? core : images.read(CORE, tid));
    const seccomp = filters.task(cores);
    return {
      pid,
      ppid,
      pgid,
      sid,
      comm: names.get(pid) ?? core.tc?.comm ?? "?",
      state: isZombie ? "zombie" : core.tc?.taskState === TASK_STOPPED ? "stopped" : "alive",
      exitStatus: isZombie ? core.tc?.exitCode : leaderStatus,
      threads: tids.map((tid, index) => {
        const core = cores[index] as core_entry;
        const told = thread(tid, core, suds, seccomp[index] as SeccompInfo);
        return { ...told, comm: names.get(tid) ?? told.comm };
      }),
      ...sharing(pid, isZombie ? undefined : ids, owners),
      ...memory(images, pid, files),
      descriptors: isZombie ? [] : descriptors(images, ids, files),
      locks: locks.get(pid)?.map(describe),
      actions: unlessEmpty(describeActions(core.tc?.sigactions ?? [])),
      waiting: unlessEmpty(describeQueue(core.tc?.signalsS)),
      timers: unlessEmpty(describeTimers(core.tc?.timers)),
      groups: groupsOf(cores),
    };
  });
  const sysv = inspectSysv(images);
  const sizes = images.fileNames.map((name) => ({
    name,
    size: BigInt(Deno.statSync(`${images.path}/${name}`).size),
  }));
  return {
    directory: images.path,
    version: inventory.imgVersion,
    plugins: inventory.pluginsEntry?.plugins ?? [],
    tasks,
    filters: filters.filters.length > 0 ? filters.filters : undefined,
    sysv: sysv.length > 0 ? sysv : undefined,
    phases: images.has(PHASES, null)
      ? images.readList(PHASES, null)
        .map(({ phase, duration }) => ({ phase, ms: Number(duration) / 1000 }))
      : undefined,
    images: sizes,
    size: sizes.reduce((sum, { size }) => sum + size, 0n),
    parents: unlessEmpty(checkpointsOf(images).slice(1).map(({ path }) => path)),
  };
}

function thread(
  tid: number,
  core: core_entry,
  suds: ReadonlyMap<number, sud_entry>,
  seccomp: SeccompInfo,
): ThreadInfo {
  const registers = core.threadInfo?.gpregs;
  const { creds, comm } = core.threadCore ?? {};
  const sud = suds.get(tid);
  return {
    tid,
    comm: comm ?? core.tc?.comm,
    ip: registers === undefined ? undefined : hex(registers.ip),
    sp: registers === undefined ? undefined : hex(registers.sp),
    uid: creds?.uid,
    gid: creds?.gid,
    ...seccomp,
    ...describeThreadSignals(core.threadCore),
    sud: sud === undefined ? null : {
      mode: sud.mode === 2 ? "inclusive" : "exclusive",
      selector: sud.selector === 0n ? null : hex(sud.selector),
      offset: hex(sud.offset),
      length: sud.len,
    },
  };
}

/** Equal ids are shared objects: the first process that has one is called its owner. */
function sharing(
  pid: number,
  ids: task_kobj_ids_entry | undefined,
  owners: Record<"memory" | "files", Map<number, number>>,
): Pick<TaskInfo, "memoryOf" | "filesOf"> {
  if (ids === undefined) return {};
  const owner = (known: Map<number, number>, id: number) => {
    if (!known.has(id)) known.set(id, pid);
    return known.get(id)!;
  };
  return { memoryOf: owner(owners.memory, ids.vmId), filesOf: owner(owners.files, ids.filesId) };
}

function memory(
  images: ImageDirectory,
  pid: number,
  files: ReadonlyMap<number, file_entry>,
): Pick<TaskInfo, "exe" | "args" | "mappings" | "mappedBytes" | "savedBytes" | "parentBytes"> {
  if (!images.has(MM, pid)) {
    return { mappings: [], mappedBytes: 0n, savedBytes: 0n, parentBytes: 0n };
  }
  const mm = images.read(MM, pid);
  const pathOf = (vma: vma_entry) => files.get(Number(vma.shmid))?.reg?.name;
  let savedBytes = 0n;
  let parentBytes = 0n;
  if (images.has(PAGEMAP, pid)) {
    for (const { nrPages, flags } of images.readPagemap(PAGEMAP, pid).entries) {
      if (flags & PE_PRESENT) savedBytes += BigInt(nrPages) * PAGE_SIZE;
      if (flags & PE_PARENT) parentBytes += BigInt(nrPages) * PAGE_SIZE;
    }
  }
  return {
    exe: files.get(mm.exeFileId)?.reg?.name,
    args: readCommandLine(images, pid, mm),
    mappings: mm.vmas.map((vma) => describeMapping(vma, pathOf(vma), mm)),
    mappedBytes: mm.vmas.reduce((sum, vma) => sum + vma.end - vma.start, 0n),
    savedBytes,
    parentBytes,
  };
}

function unlessEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length > 0 ? list : undefined;
}

function describe(lock: file_lock_entry): LockInfo {
  return { fd: lock.fd, what: describeLock(lock) };
}

function descriptors(
  images: ImageDirectory,
  ids: task_kobj_ids_entry | undefined,
  files: ReadonlyMap<number, file_entry>,
): DescriptorInfo[] {
  if (ids === undefined || !images.has(FDINFO, ids.filesId)) return [];
  const terminals = describeTerminals(images);
  const queues = describeQueues(images, files);
  return images.readList(FDINFO, ids.filesId)
    .map(({ fd, id, type, flags }) => {
      const { kind, what } = describeFile(type, files.get(id), terminals);
      const queue = queues.get(id);
      return {
        fd,
        kind,
        what: queue === undefined ? what : `${what}  ${queue}`,
        closeOnExec: (flags & FD_CLOEXEC) !== 0,
        id,
      };
    })
    .sort((a, b) => a.fd - b.fd);
}
