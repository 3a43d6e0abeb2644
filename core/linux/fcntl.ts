/**
 * File status flags and what fcntl(2), ioctl(2) and tee(2) tell of a descriptor of this process, mostly a
 * duplicate of a target's. Nothing here takes anything out of a pipe.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { addressOf, ioctl, syscall } from "./libc_ffi.ts";
import { must } from "./must.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** `O_*` of x86-64 (`include/uapi/asm-generic/fcntl.h`). */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  /** The mask of the access mode. */
  ACCMODE: 3,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DSYNC: 0o10000,
  /** FASYNC in the kernel. */
  ASYNC: 0o20000,
  DIRECT: 0o40000,
  /** Every open(2) of a 64-bit task sets it; pipe2(2) and the like do not. */
  LARGEFILE: 0o100000,
  DIRECTORY: 0o200000,
  NOFOLLOW: 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  /** Without O_DIRECTORY, which the O_TMPFILE of user space has too. */
  TMPFILE: 0o20000000,
} as const;

/** The flags that F_SETFL changes (SETFL_MASK of `fs/fcntl.c`). */
export const SETFL_MASK = O.APPEND | O.NONBLOCK | O.ASYNC | O.DIRECT | O.NOATIME;

/** Commands of fcntl(2). */
export const F = {
  GETFD: 1,
  SETFD: 2,
  GETFL: 3,
  SETFL: 4,
  SETLK: 6,
  SETOWN: 8,
  SETSIG: 10,
  SETOWN_EX: 15,
  OFD_SETLK: 37,
  SETLEASE: 1024,
  GETLEASE: 1025,
  NOTIFY: 1026,
  DUPFD_CLOEXEC: 1030,
  SETPIPE_SZ: 1031,
  GETPIPE_SZ: 1032,
} as const;

/** The directory that relative paths start from (`AT_FDCWD`). */
export const AT_FDCWD = -100;

const FIONREAD = 0x541b;
const SPLICE_F_NONBLOCK = 2;
const RWF_NOWAIT = 8;

/** The status flags of a descriptor. @throws {StasisError} `syscall` */
export function statusFlags(fd: number): number {
  return must(syscall(SYSCALLS.fcntl, fd, F.GETFL, 0), `fcntl(${fd}, F_GETFL)`);
}

/** How many bytes wait to be read from a pipe (either end tells), a socket or a terminal. */
export function bytesWaiting(fd: number): number {
  const word = new Int32Array(1);
  const result = ioctl(fd, FIONREAD, new Uint8Array(word.buffer));
  must(BigInt(result), `ioctl(${fd}, FIONREAD)`);
  return word[0] as number;
}

/** What is in a pipe. */
export interface PipeContents {
  /** The size of its buffer in bytes (F_GETPIPE_SZ). */
  readonly size: number;
  /** The bytes, oldest first, each piece as one read(2) returns it: more than one only where packets are. */
  readonly chunks: readonly Uint8Array[];
}

/**
 * Looks into a pipe and leaves it as it is: tee(2) copies references to its buffers, with their packet
 * boundaries (link_pipe() of `fs/splice.c` keeps PIPE_BUF_FLAG_PACKET), to a pipe of our own.
 *
 * @param fd either end; for the writing one the pipe is opened for reading for a moment
 * @throws {StasisError} `syscall`
 */
export function peekPipe(fd: number): PipeContents {
  const size = must(syscall(SYSCALLS.fcntl, fd, F.GETPIPE_SZ, 0), `fcntl(${fd}, F_GETPIPE_SZ)`);
  const waiting = bytesWaiting(fd);
  if (waiting === 0) return { size, chunks: [] };

  using reader = readableEnd(fd);
  const pair = new Int32Array(2);
  const flags = O.CLOEXEC | O.NONBLOCK;
  must(syscall(SYSCALLS.pipe2, new Uint8Array(pair.buffer), flags), "pipe2");
  using source = new OwnedDescriptor(pair[0] as number);
  using sink = new OwnedDescriptor(pair[1] as number);
  // Needs as many slots as the other has: a pipe of packets has one in each.
  must(syscall(SYSCALLS.fcntl, sink.fd, F.SETPIPE_SZ, size), `a pipe of ${size} bytes`);
  const copied = must(
    syscall(SYSCALLS.tee, reader.fd, sink.fd, waiting, SPLICE_F_NONBLOCK),
    `tee(${reader.fd})`,
  );
  const chunks: Uint8Array[] = [];
  for (let left = copied; left > 0;) {
    const buffer = new Uint8Array(left);
    const count = must(syscall(SYSCALLS.read, source.fd, buffer, left), "read of a copied pipe");
    chunks.push(buffer.subarray(0, count));
    left -= count;
  }
  if (copied !== waiting) {
    throw new StasisError("syscall", `tee copied ${copied} of the ${waiting} bytes in a pipe`);
  }
  return { size, chunks };
}

/** The descriptor or, if it only writes, another one of the same pipe that reads. */
function readableEnd(fd: number): OwnedDescriptor {
  if ((statusFlags(fd) & O.ACCMODE) !== O.WRONLY) {
    return owned(syscall(SYSCALLS.fcntl, fd, F.DUPFD_CLOEXEC, 0), `fcntl(${fd}, F_DUPFD_CLOEXEC)`);
  }
  const path = new TextEncoder().encode(`/proc/self/fd/${fd}\0`);
  const flags = O.RDONLY | O.NONBLOCK | O.CLOEXEC;
  return owned(syscall(SYSCALLS.openat, AT_FDCWD, path, flags, 0), `open of the pipe behind ${fd}`);
}

function owned(result: bigint, what: string): OwnedDescriptor {
  return new OwnedDescriptor(must(result, what));
}

/**
 * Whether an eventfd counts down by one (EFD_SEMAPHORE): what a kernel before 6.5 does not show. The only
 * other way to know is to read: then the counter is put back. Those who poll it may wake up for nothing.
 *
 * @param fd a duplicate of the eventfd, whose tasks stand still
 * @param count its counter
 */
export function probeSemaphore(fd: number, count: bigint): boolean {
  const add = (value: bigint): void => {
    if (value > 0n) must(syscall(SYSCALLS.write, fd, new BigUint64Array([value]), 8), "write");
  };
  const take = (): bigint => {
    const word = new BigUint64Array(1);
    const vector = new BigUint64Array([addressOf(word), 8n]);
    // Unlike read(2) it never waits, whoever else reads.
    must(syscall(SYSCALLS.preadv2, fd, vector, 1, -1, -1, RWF_NOWAIT), "read of an eventfd");
    return word[0] as bigint;
  };
  const missing = count < 2n ? 2n - count : 0n;
  add(missing);
  const taken = take();
  if (taken === 1n) {
    // One is gone of count + missing; take the rest of what was added, or put back what is missing.
    if (missing === 2n) take();
    if (missing === 0n) add(1n);
    return true;
  }
  add(count);
  return false;
}
