/**
 * `/proc/locks`, and the `lock:` lines of fdinfo: advisory file locks and leases.
 * Source: proc_locks(5); kernel fs/locks.c, lock_get_status().
 *
 * @module
 */

import { areThreadsScarce } from "../blocking_threads.ts";
import { malformed } from "./read.ts";
import type { DeviceNumber } from "./vma_line.ts";

/** One lock, or one that waits for it. */
export interface FileLock {
  /** The line's number; those that wait have the number of what they wait for. */
  readonly id: number;
  /** It waits (`->`): not held yet. */
  readonly blocked: boolean;
  /**
   * Who made it: `POSIX` fcntl(F_SETLK), `OFDLCK` fcntl(F_OFD_SETLK), `FLOCK` flock, `LEASE`
   * fcntl(F_SETLEASE), `DELEG` the NFS server, `ACCESS` a test of mandatory locks (old kernels).
   */
  readonly type: "POSIX" | "OFDLCK" | "FLOCK" | "LEASE" | "DELEG" | "ACCESS" | "UNKNOWN";
  /** `ADVISORY`; for leases `ACTIVE`, `BREAKING` or `BREAKER`. */
  readonly kind: string;
  readonly mode: "READ" | "WRITE" | "UNLCK";
  /** Who holds it; -1 for OFD locks; 0 where it is dead or outside of this pid namespace. */
  readonly pid: number;
  /** The file system's device and the inode; undefined where the kernel shows none. */
  readonly dev?: DeviceNumber;
  readonly inode: bigint;
  /** The first byte. */
  readonly start: bigint;
  /** The last byte; undefined for the end of the file, wherever that is. */
  readonly end?: bigint;
}

/** Those that wait for one that waits itself are indented (lock_get_status() of fs/locks.c). */
const LINE =
  /^(\d+): *(->)?\s*(\w+)\s+(\S+)\s+(READ|WRITE|UNLCK)\s+(-?\d+) (?:([0-9a-f]+):([0-9a-f]+)|<none>):(\d+) (\d+) (EOF|\d+)$/;

/** Parses one line. */
export function parseLock(line: string): FileLock {
  const match = LINE.exec(line.trim());
  if (match === null) throw malformed("locks", line);
  const [, id, blocked, type, kind, mode, pid, major, minor, inode, start, end] = match;
  return {
    id: Number(id),
    blocked: blocked !== undefined,
    type: type as FileLock["type"],
    kind: kind!,
    mode: mode as FileLock["mode"],
    pid: Number(pid),
    dev: major === undefined
      ? undefined
      : { major: Number.parseInt(major, 16), minor: Number.parseInt(minor!, 16) },
    inode: BigInt(inode!),
    start: BigInt(start!),
    end: end === "EOF" ? undefined : BigInt(end!),
  };
}

/** Parses the text of `/proc/locks`. */
export function parseLocks(text: string): readonly FileLock[] {
  return text.split("\n").filter(Boolean).map(parseLock);
}

const PATH = "/proc/locks";

/**
 * Reads all locks of the machine that this pid namespace may see. The kernel takes 10 to 20 ms for it: it waits until
 * no processor changes a lock any more (percpu_down_write() in locks_start() of fs/locks.c).
 */
export function readLocks(): readonly FileLock[] {
  return parseLocks(Deno.readTextFileSync(PATH));
}

/** The same on another thread, if there is one to be had. */
export async function readLocksAside(): Promise<readonly FileLock[]> {
  return areThreadsScarce() ? readLocks() : parseLocks(await Deno.readTextFile(PATH));
}
