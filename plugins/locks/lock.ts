/**
 * A lock as `filelocks.img` has it: made from what `/proc` tells, checked, and in words. Pure.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import type { FileLock } from "../../core/linux/procfs/mod.ts";
import type { file_lock_entry } from "../../images/gen/file_locks_pb.ts";

/** `flag` of the image. */
export const KIND = { POSIX: 1, FLOCK: 2, OFD: 4, LEASE: 8 } as const;

/** `type` of the image: F_* of `include/uapi/asm-generic/fcntl.h`. */
export const TYPE = { READ: 0, WRITE: 1, UNLCK: 2 } as const;

/** Beside the type of a lease: it is being taken back, and the type is what is to remain. */
export const BREAKING = 4;

/** A lock without its holder. */
export type LockFacts = Pick<file_lock_entry, "flag" | "type" | "start" | "len">;

const KINDS: Readonly<Partial<Record<FileLock["type"], number>>> = {
  POSIX: KIND.POSIX,
  FLOCK: KIND.FLOCK,
  OFDLCK: KIND.OFD,
  LEASE: KIND.LEASE,
};

/** What a lock that is held is in the image; undefined for kinds that cannot be saved (the NFS server's). */
export function encodeLock(lock: FileLock): LockFacts | undefined {
  const flag = KINDS[lock.type];
  if (flag === undefined) return undefined;
  const { start, end } = lock;
  return {
    flag,
    type: TYPE[lock.mode] | (lock.kind === "BREAKING" ? BREAKING : 0),
    start,
    len: end === undefined ? 0n : end - start + 1n,
  };
}

/** A lock in words: `write lock (flock)`. */
export function describeLock({ flag, type, start, len }: LockFacts): string {
  if (flag === KIND.LEASE) {
    if ((type & BREAKING) === 0) return `${modeOf(type)} lease (F_SETLEASE)`;
    const rest = (type & ~BREAKING) === TYPE.READ ? "a read lease" : "nothing";
    return `lease (F_SETLEASE) of which ${rest} is to remain`;
  }
  if (flag === KIND.FLOCK) return `${modeOf(type)} lock (flock)`;
  const call = flag === KIND.OFD ? "F_OFD_SETLK" : "F_SETLK";
  const end = len === 0n ? "the end" : start + len - 1n;
  const range = start === 0n && len === 0n ? "" : ` on bytes ${start} to ${end}`;
  return `${modeOf(type)} lock (${call})${range}`;
}

/**
 * The type of a lease before anybody had it taken back.
 *
 * @param type of the image
 * @param isWriter whether the file is open for writing
 */
export function wholeLease(type: number, isWriter: boolean): number {
  const rest = type & ~BREAKING;
  if (rest === type) return type;
  // What is to become one for reading was one for writing; nobody who writes has one for reading.
  return rest === TYPE.READ || isWriter ? TYPE.WRITE : TYPE.READ;
}

function modeOf(type: number): string {
  return type === TYPE.WRITE ? "write" : "read";
}

const LAST = (1n << 63n) - 1n;

/**
 * Checks what an image says, which may be damaged or hostile.
 *
 * @param has whether a live task of the tree has a descriptor of that number
 * @param file the image's path, for errors
 * @throws {StasisError} `bad-image`
 */
export function validateLocks(
  entries: readonly file_lock_entry[],
  has: (pid: number, fd: number) => boolean,
  file: string,
): void {
  for (const { flag, type, pid, fd, start, len } of entries) {
    const fail = (why: string): never => {
      throw new StasisError("bad-image", `${file} has a lock of task ${pid} ${why}`);
    };
    if (!Object.values<number>(KIND).includes(flag)) fail(`of an unknown kind, ${flag}`);
    const broken = [TYPE.READ | BREAKING, TYPE.UNLCK | BREAKING];
    const types: number[] = [TYPE.READ, TYPE.WRITE, ...(flag === KIND.LEASE ? broken : [])];
    if (!types.includes(type)) fail(`of an unknown type, ${type}`);
    if (!has(pid, fd)) fail(`on descriptor ${fd}, which it has not`);
    if (start < 0n || len < 0n || start + len - 1n > LAST) {
      fail(`from ${start} on for ${len} bytes`);
    }
  }
}
