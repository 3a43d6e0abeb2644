/**
 * Options of sockets and whether something waits in them: getsockopt(2), setsockopt(2) and poll(2) of a
 * descriptor of this process, mostly a duplicate of a target's.
 *
 * @module
 */
import { StasisError } from "../../../base/errors.ts";
import { Errno, errnoName, isErrno } from "../errno.ts";
import { addressOf, syscall } from "../libc_ffi.ts";
import { SOL_SOCKET } from "./socket_ffi.ts";
import { defineStruct } from "../struct.ts";
import { CallBatch } from "../x86_64/call_batch_ffi.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";

/** Options of SOL_SOCKET (`include/uapi/asm-generic/socket.h`). Never SO_ERROR: to read it clears it. */
export const SO = {
  DEBUG: 1,
  REUSEADDR: 2,
  TYPE: 3,
  DONTROUTE: 5,
  BROADCAST: 6,
  SNDBUF: 7,
  RCVBUF: 8,
  KEEPALIVE: 9,
  OOBINLINE: 10,
  NO_CHECK: 11,
  PRIORITY: 12,
  LINGER: 13,
  REUSEPORT: 15,
  PASSCRED: 16,
  PEERCRED: 17,
  RCVLOWAT: 18,
  RCVTIMEO: 20,
  SNDTIMEO: 21,
  BINDTODEVICE: 25,
  /** As getsockopt(2) has it: SO_GET_FILTER. */
  ATTACH_FILTER: 26,
  DETACH_FILTER: 27,
  TIMESTAMP: 29,
  /** SO_SNDBUF past the system's limit; takes CAP_NET_ADMIN. */
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  PASSSEC: 34,
  TIMESTAMPNS: 35,
  MARK: 36,
  TIMESTAMPING: 37,
  PROTOCOL: 38,
  DOMAIN: 39,
  RXQ_OVFL: 40,
  WIFI_STATUS: 41,
  PEEK_OFF: 42,
  NOFCS: 43,
  LOCK_FILTER: 44,
  SELECT_ERR_QUEUE: 45,
  BUSY_POLL: 46,
  MAX_PACING_RATE: 47,
  INCOMING_CPU: 49,
  PEERGROUPS: 59,
  ZEROCOPY: 60,
  TXTIME: 61,
  TIMESTAMP_NEW: 63,
  TIMESTAMPNS_NEW: 64,
  TIMESTAMPING_NEW: 65,
  /** 5.11. */
  PREFER_BUSY_POLL: 69,
  BUSY_POLL_BUDGET: 70,
  /** 5.12. */
  NETNS_COOKIE: 71,
  /** 5.14. */
  BUF_LOCK: 72,
  /** 6.1. */
  TXREHASH: 74,
  /** 5.19. */
  RCVMARK: 75,
  /** 6.5. */
  PASSPIDFD: 76,
  /** 6.14. */
  RCVPRIORITY: 82,
  /** 6.16; on unless it is switched off. */
  PASSRIGHTS: 83,
} as const;

/**
 * Options with a number that CRIU's image has no field for, with their defaults. Many mean nothing to some kinds
 * of socket, but they take them, and getsockopt(2) tells of them.
 */
export const MORE_OPTIONS: readonly (readonly [name: number, otherwise: number])[] = [
  [SO.TIMESTAMP, 0],
  [SO.TIMESTAMPNS, 0],
  [SO.TIMESTAMP_NEW, 0],
  [SO.TIMESTAMPNS_NEW, 0],
  [SO.RXQ_OVFL, 0],
  [SO.PEEK_OFF, -1],
  [SO.PASSPIDFD, 0],
  [SO.PASSRIGHTS, 1],
  [SO.DEBUG, 0],
  // Set by its newer number last: that is the one in force where both tell of it.
  [SO.TIMESTAMPING, 0],
  [SO.TIMESTAMPING_NEW, 0],
  [SO.WIFI_STATUS, 0],
  [SO.NOFCS, 0],
  [SO.LOCK_FILTER, 0],
  [SO.SELECT_ERR_QUEUE, 0],
  [SO.BUSY_POLL, 0],
  [SO.PREFER_BUSY_POLL, 0],
  [SO.BUSY_POLL_BUDGET, 0],
  [SO.MAX_PACING_RATE, -1],
  [SO.INCOMING_CPU, -1],
  [SO.RCVMARK, 0],
  [SO.RCVPRIORITY, 0],
];

/** struct timeval, of SO_RCVTIMEO and SO_SNDTIMEO. */
export const timeval = defineStruct("timeval", 16, { sec: [0, "i64"], usec: [8, "i64"] });
/** struct linger, of SO_LINGER. */
export const linger = defineStruct("linger", 8, { on: [0, "i32"], seconds: [4, "i32"] });

/** Room for the value of most options behind its length; the same for every call, so that its address is known. */
const scratch = new Uint8Array(64);
const scratchView = new DataView(scratch.buffer);
const LENGTH_AT = 0, VALUE_AT = 8;
const scratchAddress = addressOf(scratch);

/**
 * Reads an option.
 *
 * @param size how many bytes it has at most
 * @returns its bytes; undefined where this kernel or this kind of socket does not have it
 * @throws {StasisError} `syscall`
 */
export function readOption(
  fd: number,
  name: number,
  size: number,
): Uint8Array<ArrayBuffer> | undefined {
  if (VALUE_AT + size <= scratch.byteLength) {
    const length = readScratch(fd, name, size);
    return length === undefined ? undefined : scratch.slice(VALUE_AT, VALUE_AT + length);
  }
  const bytes = new Uint8Array(size);
  const length = new Uint32Array([size]);
  const lengthBytes = new Uint8Array(length.buffer);
  const result = syscall(SYSCALLS.getsockopt, fd, SOL_SOCKET, name, bytes, lengthBytes);
  return exists(result, fd, name) ? bytes.subarray(0, length[0]) : undefined;
}

/** Reads an option that is a number; undefined where this kernel does not have it. */
export function readNumber(fd: number, name: number): number | undefined {
  return readScratch(fd, name, 4) === undefined ? undefined : scratchView.getInt32(VALUE_AT, true);
}

/** Reads an option into the scratch memory. @returns its length */
function readScratch(fd: number, name: number, size: number): number | undefined {
  scratchView.setUint32(LENGTH_AT, size, true);
  scratchView.setBigUint64(VALUE_AT, 0n, true);
  const value = scratchAddress + BigInt(VALUE_AT);
  const result = syscall(SYSCALLS.getsockopt, fd, SOL_SOCKET, name, value, scratchAddress);
  return exists(result, fd, name) ? scratchView.getUint32(LENGTH_AT, true) : undefined;
}

/** Whether there is such an option. @throws {StasisError} `syscall` where it is not that */
function exists(result: bigint, fd: number, name: number, level = SOL_SOCKET): boolean {
  if (!isErrno(result)) return true;
  const errno = Number(-result);
  if (errno === Errno.ENOPROTOOPT || errno === Errno.EOPNOTSUPP || errno === Errno.ENODATA) {
    return false;
  }
  const layer = level === SOL_SOCKET ? "SOL_SOCKET" : level;
  throw failure(result, `getsockopt(${fd}, ${layer}, ${name})`);
}

/** Options that are read all at once, of one socket after the other. */
export class OptionReader {
  readonly #index = new Map<number, number>();
  readonly #level: number;
  readonly #count: number;
  readonly #batch: CallBatch;
  /** The lengths of all, then their values. */
  readonly #words: BigUint64Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  /** Where the values begin, in bytes. */
  readonly #starts: readonly number[];
  /** What stands there before a socket is read. */
  readonly #blank: BigUint64Array;
  /** What stood there after the last one was, and what its calls returned. */
  readonly #last: BigUint64Array;
  readonly #lastResults: bigint[];
  #fd = -1;

  /**
   * @param options their names, each with the most bytes that it has
   * @param level of which protocol they are: SOL_*, IPPROTO_*
   */
  constructor(options: ReadonlyMap<number, number>, level = SOL_SOCKET) {
    this.#level = level;
    const names = [...options.keys()];
    const words = (bytes: number): number => Math.ceil(bytes / BigUint64Array.BYTES_PER_ELEMENT);
    this.#count = names.length;
    const starts: number[] = [];
    let size = words(names.length * Uint32Array.BYTES_PER_ELEMENT);
    for (const most of options.values()) {
      starts.push(size * BigUint64Array.BYTES_PER_ELEMENT);
      size += words(most);
    }
    this.#starts = starts;
    this.#words = new BigUint64Array(size);
    this.#view = new DataView(this.#words.buffer);
    this.#blank = new BigUint64Array(size);
    new Uint32Array(this.#blank.buffer).set([...options.values()]);
    this.#last = new BigUint64Array(size);
    this.#lastResults = names.map(() => -1n);
    names.forEach((name, index) => this.#index.set(name, index));
    const base = addressOf(new Uint8Array(this.#words.buffer));
    this.#batch = new CallBatch(names.map((name, index) => ({
      name: "getsockopt",
      args: [0, level, name, base + BigInt(starts[index] as number), base + BigInt(4 * index)],
    })));
  }

  /**
   * Reads the options of a socket, for {@link bytes}, {@link number} and {@link length}.
   *
   * @returns whether all of them are those of the socket that was read before
   */
  read(fd: number): boolean {
    this.#fd = fd;
    this.#words.set(this.#blank);
    this.#batch.setFirstArguments(BigInt(fd));
    this.#batch.run();
    if (this.#isLast()) return true;
    this.#last.set(this.#words);
    for (let index = 0; index < this.#count; index++) {
      this.#lastResults[index] = this.#batch.result(index);
    }
    return false;
  }

  #isLast(): boolean {
    const words = this.#words, last = this.#last;
    for (let at = 0; at < words.length; at++) if (words[at] !== last[at]) return false;
    for (let index = 0; index < this.#count; index++) {
      if (this.#batch.result(index) !== this.#lastResults[index]) return false;
    }
    return true;
  }

  /**
   * What an option is.
   *
   * @returns undefined where this kernel or this kind of socket does not have it
   * @throws {StasisError} `syscall`
   */
  bytes(name: number): Uint8Array<ArrayBuffer> | undefined {
    const index = this.#index.get(name) as number;
    if (!exists(this.#batch.result(index), this.#fd, name, this.#level)) return undefined;
    const start = this.#starts[index] as number;
    const length = this.#view.getUint32(4 * index, true);
    return new Uint8Array(this.#words.buffer.slice(start, start + length));
  }

  /** The same of one that is a number. */
  number(name: number): number | undefined {
    const index = this.#index.get(name) as number;
    if (!exists(this.#batch.result(index), this.#fd, name, this.#level)) return undefined;
    return this.#view.getInt32(this.#starts[index] as number, true);
  }

  /** The length that the kernel gave; undefined where the option could not be read, for whatever reason. */
  length(name: number): number | undefined {
    const index = this.#index.get(name) as number;
    return isErrno(this.#batch.result(index)) ? undefined : this.#view.getUint32(4 * index, true);
  }

  /** The errno by which an option could not be read; 0 if it could. */
  errno(name: number): number {
    const result = this.#batch.result(this.#index.get(name) as number);
    return isErrno(result) ? Number(-result) : 0;
  }
}

/** The largest size of a buffer that setsockopt(2) does not cut down to what the kernel can count: it doubles it. */
export const LARGEST_BUFFER = 0x3fffffff;

/** Sets an option that is a number. @returns 0, or the negative errno */
export function tryNumber(fd: number, name: number, value: number): bigint {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  for (;;) {
    const result = syscall(SYSCALLS.setsockopt, fd, SOL_SOCKET, name, bytes, bytes.byteLength);
    // Setting SO_PEEK_OFF can be interrupted (unix_set_peek_off()).
    if (result !== -BigInt(Errno.EINTR)) return result;
  }
}

/** Sets an option that is a number. @throws {StasisError} `syscall` */
export function setNumber(fd: number, name: number, value: number): void {
  const result = tryNumber(fd, name, value);
  if (isErrno(result)) throw failure(result, `setsockopt(${fd}, SOL_SOCKET, ${name}, ${value})`);
}

/** What poll(2) tells (`include/uapi/asm-generic/poll.h`). */
export const POLL = { IN: 1, PRI: 2, ERR: 8, HUP: 16, RDHUP: 0x2000 } as const;

/** struct pollfd: int fd; short events, revents. */
const pollfd = new Uint8Array(8);
const pollView = new DataView(pollfd.buffer);
const pollAddress = addressOf(pollfd);

/** Asks what is ready at this moment. @returns bits of POLL and others */
export function pollNow(fd: number): number {
  pollView.setInt32(0, fd, true);
  pollView.setInt16(4, POLL.IN | POLL.PRI | POLL.RDHUP, true);
  pollView.setInt16(6, 0, true);
  let result: bigint;
  // A signal to this process is no answer.
  do result = syscall(SYSCALLS.poll, pollAddress, 1, 0); while (result === -BigInt(Errno.EINTR));
  if (isErrno(result)) throw failure(result, `poll(${fd})`);
  return pollView.getInt16(6, true);
}

function failure(result: bigint, what: string): StasisError {
  const errno = errnoName(-result);
  return new StasisError("syscall", `${what} failed: ${errno}`, { errno });
}
