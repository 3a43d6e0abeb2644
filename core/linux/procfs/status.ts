/**
 * `/proc/PID/status` and `/proc/PID/task/TID/status`: a task's identity, credentials and signal masks.
 * Source: proc_pid_status(5); kernel fs/proc/array.c, fs/proc/task_mmu.c (task_mem()).
 *
 * @module
 */

import { unescapeName } from "./escape.ts";
import { malformed, readTaskText } from "./read.ts";
import { sameText } from "./same_text.ts";

/**
 * What a task is doing (fs/proc/array.c, task_state_array): Running, Sleeping, Disk sleep, sTopped by job
 * control, tracing stop (`t`), dead (`X`), Zombie, Parked, Idle.
 */
export type TaskState = "R" | "S" | "D" | "T" | "t" | "X" | "Z" | "P" | "I";

/** Real, effective, saved and file-system id. */
export type FourIds = readonly [real: number, effective: number, saved: number, fs: number];

/** The memory lines of `status`, in bytes; kernel threads and zombies have none. */
export interface StatusMemory {
  /** `VmPeak`: the largest address space so far. */
  readonly peak: number;
  /** `VmSize`: the address space. */
  readonly size: number;
  /** `VmLck`: locked by mlock. */
  readonly locked: number;
  /** `VmPin`: pinned by drivers. */
  readonly pinned: number;
  /** `VmHWM`: the largest resident size so far. */
  readonly peakResident: number;
  /** `VmRSS`: resident. */
  readonly resident: number;
  /** `RssAnon`: resident anonymous memory. */
  readonly residentAnonymous: number;
  /** `RssFile`: resident pages of files. */
  readonly residentFile: number;
  /** `RssShmem`: resident shared memory. */
  readonly residentShmem: number;
  /** `VmData`: private writable mappings. */
  readonly data: number;
  /** `VmStk`: stacks. */
  readonly stack: number;
  /** `VmSwap`: swapped out. */
  readonly swap: number;
}

/** One task as `status` describes it. Ids are those of the reader's namespaces. */
export interface TaskStatus {
  /** `Name`: up to 15 bytes, any characters. */
  readonly name: string;
  /** `Umask`; undefined where the task has given up its file-system state (zombies). */
  readonly umask?: number;
  readonly state: TaskState;
  /** The process. */
  readonly tgid: number;
  /** The thread. */
  readonly pid: number;
  /** The parent process; 0 if it is outside of this pid namespace. */
  readonly ppid: number;
  /** Who traces this thread; 0 if nobody does (or somebody outside of this pid namespace). */
  readonly tracerPid: number;
  readonly uids: FourIds;
  readonly gids: FourIds;
  /** Supplementary groups, in the kernel's (ascending) order. */
  readonly groups: readonly number[];
  /** `FDSize`: slots of the descriptor table; 0 where there is none any more. */
  readonly fdSize: number;
  /** `NStgid`, `NSpid`, `NSpgid`, `NSsid`: the id in each pid namespace, outermost first. */
  readonly nsTgid: readonly number[];
  readonly nsPid: readonly number[];
  readonly nsPgid: readonly number[];
  readonly nsSid: readonly number[];
  /** `Kthread` (6.7 and later); undefined on older kernels: see PF_KTHREAD in {@link TaskStat.flags}. */
  readonly kthread?: boolean;
  readonly memory?: StatusMemory;
  /** `CoreDumping`: the process is writing a core file. */
  readonly coreDumping: boolean;
  /** `untag_mask` (6.4 and later): the bits of an address that count; undefined where there is no memory. */
  readonly untagMask?: bigint;
  /** `THP_enabled`: false after prctl(PR_SET_THP_DISABLE); undefined where there is no memory. */
  readonly thpEnabled?: boolean;
  /** `Threads`: how many the process has. */
  readonly threads: number;
  /** `SigQ`: queued signals of the real user, and their limit. */
  readonly sigQueued: number;
  readonly sigQueueLimit: bigint;
  /** Signal sets: signal N is bit N-1. `SigPnd` is the thread's, `ShdPnd` the process's. */
  readonly sigPending: bigint;
  readonly sharedPending: bigint;
  readonly sigBlocked: bigint;
  readonly sigIgnored: bigint;
  readonly sigCaught: bigint;
  /** Capability sets: capability N is bit N. */
  readonly caps: {
    readonly inheritable: bigint;
    readonly permitted: bigint;
    readonly effective: bigint;
    readonly bounding: bigint;
    readonly ambient: bigint;
  };
  readonly noNewPrivs: boolean;
  /** `Seccomp`: 0 off, 1 strict, 2 filter; undefined on a kernel without seccomp. */
  readonly seccomp?: 0 | 1 | 2;
  /** `Seccomp_filters` (5.9 and later): the length of the thread's chain. */
  readonly seccompFilters?: number;
  /** `Speculation_Store_Bypass`, for example `vulnerable`, `thread mitigated`. */
  readonly speculationStoreBypass?: string;
  /** `SpeculationIndirectBranch`, for example `always enabled`. */
  readonly speculationIndirectBranch?: string;
  /** `Syscall_user_dispatch` of Stasis' kernel series: is dispatch armed? Undefined: no such line. */
  readonly syscallUserDispatch?: boolean;
  /** `x86_Thread_features` (6.6 and later), for example `shstk`; empty where there is no such line. */
  readonly threadFeatures: readonly string[];
  /** `x86_Thread_features_locked`. */
  readonly threadFeaturesLocked: readonly string[];
  /** `Cpus_allowed_list`: the numbers of the CPUs that the thread may run on. */
  readonly cpusAllowed: readonly number[];
  /** `Mems_allowed_list`: the numbers of the memory nodes. */
  readonly memsAllowed: readonly number[];
}

/** Parses the text of a `status` file. */
export function parseStatus(text: string): TaskStatus {
  const lines = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    // The name's line is the first, and nothing in it can start another line: a newline is escaped.
    if (colon > 0) lines.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const get = (key: string): string => {
    const value = lines.get(key);
    if (value === undefined) throw malformed("status", `no line ${key}`);
    return value;
  };
  const number = (key: string): number => Number(get(key));
  const numbers = (key: string): number[] => get(key).split(/\s+/).filter(Boolean).map(Number);
  const words = (key: string): string[] => lines.get(key)?.split(/\s+/).filter(Boolean) ?? [];
  const mask = (key: string): bigint => BigInt(`0x${get(key).trim()}`);
  const flag = (key: string): boolean | undefined => lines.has(key) ? number(key) !== 0 : undefined;
  const four = (key: string): FourIds => numbers(key) as unknown as FourIds;
  const [queued, limit] = get("SigQ").trim().split("/");

  return {
    name: sameText(unescapeName(get("Name").slice(1))),
    umask: lines.has("Umask") ? Number.parseInt(get("Umask").trim(), 8) : undefined,
    state: get("State").trim()[0] as TaskState,
    tgid: number("Tgid"),
    pid: number("Pid"),
    ppid: number("PPid"),
    tracerPid: number("TracerPid"),
    uids: four("Uid"),
    gids: four("Gid"),
    groups: numbers("Groups"),
    fdSize: number("FDSize"),
    nsTgid: numbers("NStgid"),
    nsPid: numbers("NSpid"),
    nsPgid: numbers("NSpgid"),
    nsSid: numbers("NSsid"),
    kthread: flag("Kthread"),
    memory: lines.has("VmSize") ? parseMemory(get) : undefined,
    coreDumping: flag("CoreDumping") ?? false,
    untagMask: lines.has("untag_mask") ? BigInt(get("untag_mask").trim()) : undefined,
    thpEnabled: flag("THP_enabled"),
    threads: number("Threads"),
    sigQueued: Number(queued),
    sigQueueLimit: BigInt(limit ?? "0"),
    sigPending: mask("SigPnd"),
    sharedPending: mask("ShdPnd"),
    sigBlocked: mask("SigBlk"),
    sigIgnored: mask("SigIgn"),
    sigCaught: mask("SigCgt"),
    caps: {
      inheritable: mask("CapInh"),
      permitted: mask("CapPrm"),
      effective: mask("CapEff"),
      bounding: mask("CapBnd"),
      ambient: mask("CapAmb"),
    },
    noNewPrivs: number("NoNewPrivs") !== 0,
    seccomp: lines.has("Seccomp") ? number("Seccomp") as 0 | 1 | 2 : undefined,
    seccompFilters: lines.has("Seccomp_filters") ? number("Seccomp_filters") : undefined,
    speculationStoreBypass: setting(lines.get("Speculation_Store_Bypass")),
    speculationIndirectBranch: setting(lines.get("SpeculationIndirectBranch")),
    syscallUserDispatch: flag("Syscall_user_dispatch"),
    threadFeatures: words("x86_Thread_features"),
    threadFeaturesLocked: words("x86_Thread_features_locked"),
    cpusAllowed: parseIdList(get("Cpus_allowed_list")),
    memsAllowed: parseIdList(lines.get("Mems_allowed_list") ?? ""),
  };
}

/** What is said of a setting, in few words. */
function setting(value: string | undefined): string | undefined {
  return value === undefined ? undefined : sameText(value.trim());
}

function parseMemory(get: (key: string) => string): StatusMemory {
  // Number.parseInt stops at the unit, which is always kB (1024 bytes).
  const bytes = (key: string): number => Number.parseInt(get(key), 10) * 1024;
  return {
    peak: bytes("VmPeak"),
    size: bytes("VmSize"),
    locked: bytes("VmLck"),
    pinned: bytes("VmPin"),
    peakResident: bytes("VmHWM"),
    resident: bytes("VmRSS"),
    residentAnonymous: bytes("RssAnon"),
    residentFile: bytes("RssFile"),
    residentShmem: bytes("RssShmem"),
    data: bytes("VmData"),
    stack: bytes("VmStk"),
    swap: bytes("VmSwap"),
  };
}

/** Parses a list of numbers and ranges, `0-3,8` (cpuset(7), "List format"). */
export function parseIdList(text: string): number[] {
  const ids: number[] = [];
  for (const part of text.trim().split(",").filter(Boolean)) {
    const [first, last] = part.split("-").map(Number) as [number, number?];
    for (let id = first; id <= (last ?? first); id++) ids.push(id);
  }
  return ids;
}

/**
 * Reads the `status` of a process, or of one of its threads.
 *
 * @throws StasisError `no-such-task` if it is gone.
 */
export function readStatus(pid: number, tid?: number): TaskStatus {
  return parseStatus(readTaskText(pid, "status", tid));
}
