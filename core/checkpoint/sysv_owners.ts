/**
 * Which System V IPC objects belong to a tree.
 *
 * They belong to nobody: they stay when whoever made them ends, and whoever has their id or key may use them. What
 * the kernel keeps of their use are process ids: who made, attached, sent, received, changed last. So an object is
 *
 * - the tree's, where a task of it is among those, or has it attached;
 * - shared, where a process outside is among them, too;
 * - a stranger's, where no task of the tree is; but that cannot be known where a user of the tree has made or set it
 *   since the tree began, and it is no memory that was made in another pid namespace: the kernel keeps the last uses
 *   only, and they may all have ended (as `ipcmk` has that a script ran). Another program of the same user may have
 *   made it just as well, so it is told of and left alone. So is what a task of the tree has made and only waits
 *   for, as nobody has sent or given anything yet.
 *
 * @module
 */
import { readComm, readStat, type SysvObject, unlessGone } from "../linux/procfs/mod.ts";
import type { OperationOptions } from "../plugin.ts";
import type { Task } from "./task.ts";

/** The kinds, as people call them and as `--external` names them. */
export const SYSV_KINDS = {
  shm: "shared memory",
  sem: "semaphores",
  msg: "message queue",
} as const;

/** One of the kinds. */
export type SysvKind = keyof typeof SYSV_KINDS;

/** What an object is called in messages. */
export function sysvName(kind: SysvKind, { id, key }: Pick<SysvObject, "id" | "key">): string {
  const found = key === 0 ? "private" : `key 0x${key.toString(16)}`;
  return `the System V ${SYSV_KINDS[kind]} ${id} (${found})`;
}

/** The name by which `--external` leaves an object to whoever restores. */
export function sysvExternal(kind: SysvKind, id: number): string {
  return `${kind}[${id}]`;
}

/** Whether the user named an object so. */
export function isExternalSysv(options: OperationOptions, kind: SysvKind, id: number): boolean {
  return options.external?.includes(sysvExternal(kind, id)) ?? false;
}

/** What is known of a tree. */
export interface SysvTree {
  readonly pids: ReadonlySet<number>;
  /** The effective user ids of its tasks. */
  readonly uids: ReadonlySet<number>;
  /** When it began, in seconds since 1970. */
  readonly since: number;
}

/** What is known of an object, beside the processes that have used it. */
export interface SysvOrigin extends Pick<SysvObject, "cuid" | "changed"> {
  /**
   * The process that made it, which the kernel tells of shared memory alone, dead or alive: 0 where it was in a pid
   * namespace that this one does not see into (`sysvipc_shm_proc_show()` of `ipc/shm.c`, pid_nr_ns()).
   */
  readonly creator?: number;
}

/** Whose an object is. */
export interface SysvOwner {
  readonly whose: "tree" | "stranger" | "shared" | "unknown";
  /** The processes outside that are among the users; there are some where it is shared. */
  readonly outside: readonly number[];
}

/**
 * Says whose an object is.
 *
 * @param users the processes that the kernel tells of; 0 is nobody
 * @param held whether the tree has it for certain
 * @param isUser whether a process outside lives and may be the one that is meant
 */
export function sysvOwner(
  object: SysvOrigin,
  users: readonly number[],
  held: boolean,
  tree: SysvTree,
  isUser: (pid: number) => boolean,
): SysvOwner {
  const known = new Set(users.filter((pid) => pid !== 0));
  const outside = [...known].filter((pid) => !tree.pids.has(pid) && isUser(pid));
  if (held || [...known].some((pid) => tree.pids.has(pid))) {
    return { whose: outside.length === 0 ? "tree" : "shared", outside };
  }
  const isLate = object.creator !== 0 && object.changed >= tree.since &&
    tree.uids.has(object.cuid);
  return { whose: isLate ? "unknown" : "stranger", outside };
}

/** What is said of an object of which nobody knows whose it is. */
export function unknownSysv(
  kind: SysvKind,
  object: Pick<SysvObject, "id" | "key">,
  outside: readonly number[],
): string {
  const [pid] = outside;
  const users = pid === undefined
    ? "which no living process is known to use"
    : `of ${outsider(pid)}`;
  return `${
    sysvName(kind, object)
  }, ${users}, may be the tree's as well: it is not saved, and left as it is`;
}

/** What a process is called that uses what the tree uses. */
export function outsider(pid: number): string {
  return `process ${pid} (${
    unlessGone(() => readComm(pid), "it has just ended")
  }) outside of the tree`;
}

/** What is known of these tasks. */
export function sysvTree(tasks: readonly Task[]): SysvTree {
  const [root] = tasks;
  return {
    pids: new Set(tasks.map(({ pid }) => pid)),
    uids: new Set(tasks.flatMap((task) => task.isZombie ? [] : [task.status.uids[1]])),
    since: root === undefined ? 0 : beganAt(root.stat.startTime),
  };
}

/**
 * Whether a process lives that may have used an object: one that began later than that is another one, which has got
 * the same id since.
 *
 * @param last when the object was last used or changed, in seconds since 1970
 */
export function mayHaveUsed(pid: number, last: number): boolean {
  try {
    const { state, startTime } = readStat(pid);
    return state !== "Z" && state !== "X" && beganAt(startTime) <= last;
  } catch {
    return false;
  }
}

/** USER_HZ, in which /proc tells times (include/asm-generic/param.h). */
const TICKS = 100;

/** When a process began, in seconds since 1970, rounded down by up to a second: so a process seems never too young. */
function beganAt(startTime: bigint): number {
  const uptime = Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  return Math.floor(Date.now() / 1000 - uptime + Number(startTime) / TICKS) - 1;
}
