/**
 * `/proc/sysvipc`: the System V IPC objects of the reader's IPC namespace, whoever uses them. Source:
 * proc_sysvipc(5); kernel ipc/shm.c, ipc/sem.c and ipc/msg.c, `sysvipc_*_proc_show()`. Process ids are those of the
 * namespace that /proc was mounted for, or 0.
 *
 * @module
 */

import { decodeBytes } from "../../../base/byte_text.ts";
import { isMissing } from "../files.ts";
import { readFile } from "../read_file.ts";

/** What all three kinds have. */
export interface SysvObject {
  /** What it is found by (ftok(3)); 0 of a private one. */
  readonly key: number;
  /** What shmget(2) and its like give. */
  readonly id: number;
  /** Permissions, and of shared memory {@link SHM_DEST} and {@link SHM_LOCKED}. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The user and the group that made it. */
  readonly cuid: number;
  readonly cgid: number;
  /** When it was made, or its owner, permissions or values were set, in seconds since 1970. */
  readonly changed: number;
  /** When it was last used, in the same; 0 if never. */
  readonly used: number;
}

/** A segment of shared memory. */
export interface SysvSegment extends SysvObject {
  /** In bytes, as asked for. */
  readonly size: bigint;
  /** How many mappings there are of it. */
  readonly attached: number;
  /** The process that made it. */
  readonly creator: number;
  /** The process that last attached or detached it. */
  readonly last: number;
}

/** A set of semaphores. */
export interface SysvSemaphores extends SysvObject {
  /** How many it has. */
  readonly count: number;
}

/** A queue of messages. */
export interface SysvQueue extends SysvObject {
  /** How many bytes are in it. */
  readonly bytes: number;
  /** How many messages. */
  readonly messages: number;
  /** The process that last sent one. */
  readonly sender: number;
  /** The process that last received one. */
  readonly receiver: number;
}

/** In a segment's mode: it is removed when nobody has it attached any more (include/linux/shm.h). */
export const SHM_DEST = 0o1000;
/** In a segment's mode: it is not swapped out (SHM_LOCK). */
export const SHM_LOCKED = 0o2000;

/** Columns by their names. */
type Row = (name: string) => string;

/** Parses one of the files: a head, then a line an object. */
function rows<T>(text: string, make: (row: Row) => T): T[] {
  const [head = "", ...lines] = text.split("\n");
  const names = head.trim().split(/\s+/);
  return lines.filter((line) => line.trim() !== "").map((line) => {
    const values = line.trim().split(/\s+/);
    return make((name) => values[names.indexOf(name)] ?? "0");
  });
}

function common(row: Row, id: string, uses: readonly string[]): SysvObject {
  return {
    key: Number(row("key")) >>> 0,
    id: Number(row(id)),
    mode: parseInt(row("perms"), 8),
    uid: Number(row("uid")),
    gid: Number(row("gid")),
    cuid: Number(row("cuid")),
    cgid: Number(row("cgid")),
    changed: Number(row("ctime")),
    used: Math.max(...uses.map((name) => Number(row(name)))),
  };
}

/** Parses `/proc/sysvipc/shm`. */
export function parseSegments(text: string): readonly SysvSegment[] {
  return rows(text, (row) => ({
    ...common(row, "shmid", ["atime", "dtime"]),
    size: BigInt(row("size")),
    attached: Number(row("nattch")),
    creator: Number(row("cpid")),
    last: Number(row("lpid")),
  }));
}

/** Parses `/proc/sysvipc/sem`. */
export function parseSemaphores(text: string): readonly SysvSemaphores[] {
  return rows(text, (row) => ({
    ...common(row, "semid", ["otime"]),
    count: Number(row("nsems")),
  }));
}

/** Parses `/proc/sysvipc/msg`. */
export function parseQueues(text: string): readonly SysvQueue[] {
  return rows(text, (row) => ({
    ...common(row, "msqid", ["stime", "rtime"]),
    bytes: Number(row("cbytes")),
    messages: Number(row("qnum")),
    sender: Number(row("lspid")),
    receiver: Number(row("lrpid")),
  }));
}

/** Reads one of the files; nothing on a kernel without System V IPC. */
function readText(name: "shm" | "sem" | "msg"): string {
  try {
    return decodeBytes(readFile(`/proc/sysvipc/${name}`));
  } catch (error) {
    if (isMissing(error)) return "";
    throw error;
  }
}

/** The segments of shared memory. */
export function readSegments(): readonly SysvSegment[] {
  return parseSegments(readText("shm"));
}

/** The sets of semaphores. */
export function readSemaphores(): readonly SysvSemaphores[] {
  return parseSemaphores(readText("sem"));
}

/** The queues of messages. */
export function readQueues(): readonly SysvQueue[] {
  return parseQueues(readText("msg"));
}
