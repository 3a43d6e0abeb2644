/**
 * All descriptors of a task, read together: there may be thousands, while the task stands still. What is special
 * about one (a path of any length, a long list of what an epoll watches, a failure) the readers of a single one know.
 *
 * @module
 */
import { decodeBytes } from "../../../base/byte_text.ts";
import { isErrno } from "../errno.ts";
import { readFileInfo } from "../files.ts";
import { findOrdered, type OrderedPlace } from "../kcmp.ts";
import { addressOf, cString, syscall } from "../libc_ffi.ts";
import { FileStatus } from "../stat.ts";
import { type BatchCall, CallBatch } from "../x86_64/call_batch_ffi.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";
import { type FdIdentity, type FdLink, parseFdLink, readFdLink, readFds } from "./fd.ts";
import { type FdInfo, parseFdInfo, parsePlainFdInfo, readFdInfo } from "./fdinfo.ts";
import { taskPath } from "./read.ts";

/** What `/proc/PID/fd` and `/proc/PID/fdinfo` say of a descriptor. */
export interface OpenDescriptor {
  readonly fd: number;
  readonly link: FdLink;
  readonly info: FdInfo;
}

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000, O_PATH_DIRECTORY = 0o10000000 | 0o200000 | O_CLOEXEC;
/** How many are read together. */
const MOST = 128;
/** Room for a name (a number), a link, and a text; what is longer is read by itself. */
const NAME = 16, LINK = 256, TEXT = 512;

/**
 * The open descriptors of a task, ascending. Those that are closed meanwhile are left out.
 *
 * @throws {StasisError} `no-such-task`, `no-privilege`
 */
export function readDescriptors(pid: number): OpenDescriptor[] {
  const fds = readFds(pid);
  const found: OpenDescriptor[] = [];
  const add = (fd: number, { link, info }: Partial<OpenDescriptor>): void => {
    const whole = link ?? readFdLink(pid, fd);
    const more = whole && (info ?? readFdInfo(pid, fd));
    if (whole !== undefined && more !== undefined) found.push({ fd, link: whole, info: more });
  };
  const links = openDirectory(`${taskPath(pid)}/fd`);
  const infos = openDirectory(`${taskPath(pid)}/fdinfo`);
  try {
    const reader = isErrno(links) || isErrno(infos) ? undefined : sharedReader ??= new Reader();
    for (let from = 0; from < fds.length; from += MOST) {
      const part = fds.slice(from, from + MOST);
      const read = reader?.read(links, infos, part) ?? [];
      part.forEach((fd, index) => add(fd, read[index] ?? {}));
    }
  } finally {
    for (const directory of [links, infos]) {
      if (!isErrno(directory)) syscall(SYSCALLS.close, directory);
    }
  }
  return found;
}

function openDirectory(path: string): bigint {
  return syscall(SYSCALLS.openat, AT_FDCWD, cString(path), O_PATH_DIRECTORY, 0);
}

let sharedReader: Reader | undefined;

/** What stat(2) says of the files behind descriptors: of some more than are asked for, by few calls. */
export class DescriptorStats {
  readonly #pid: number;
  readonly #fds: readonly number[];
  readonly #known = new Map<number, FdIdentity>();

  /** @param fds those that may be asked for, ascending */
  constructor(pid: number, fds: readonly number[]) {
    this.#pid = pid;
    this.#fds = fds;
  }

  /** Looks at the file behind a descriptor. @returns undefined where that fails */
  of(fd: number): FdIdentity | undefined {
    if (!this.#known.has(fd)) this.#look(findOrdered(this.#fds, (other) => fd - other));
    return this.#known.get(fd);
  }

  #look({ index: from, found }: OrderedPlace): void {
    if (!found) return;
    const directory = openDirectory(`${taskPath(this.#pid)}/fd`);
    if (isErrno(directory)) return;
    try {
      const fds = this.#fds.slice(from, from + MOST_STATS);
      const found = (sharedLooker ??= new Looker()).look(directory, fds);
      found.forEach((identity, index) => {
        if (identity !== undefined) this.#known.set(fds[index] as number, identity);
      });
    } finally {
      syscall(SYSCALLS.close, directory);
    }
  }
}

/** How many files are looked at together: a file system may take its time with each. */
const MOST_STATS = 32;

let sharedLooker: Looker | undefined;

/** Makes the calls for up to {@link MOST_STATS} files. */
class Looker {
  readonly #names = new Uint8Array(MOST_STATS * NAME);
  readonly #stats = new Uint8Array(MOST_STATS * FileStatus.size);
  readonly #calls: CallBatch;

  constructor() {
    const [names, stats] = [this.#names, this.#stats].map(addressOf) as [bigint, bigint];
    this.#calls = new CallBatch(
      Array.from({ length: MOST_STATS }, (_, index) => ({
        name: "newfstatat",
        args: [
          0,
          names + BigInt(index * NAME),
          stats + BigInt(index * FileStatus.size),
          0,
        ],
      })),
    );
  }

  look(directory: bigint, fds: readonly number[]): (FdIdentity | undefined)[] {
    fds.forEach((fd, index) => {
      writeName(this.#names, index * NAME, fd);
      this.#calls.setArgument(index, 0, directory);
    });
    this.#calls.run(fds.length);
    return fds.map((_, index) => {
      if (isErrno(this.#calls.result(index))) return undefined;
      const { dev, ino, mode, rdev, size, nlink } = readFileInfo(
        this.#stats,
        index * FileStatus.size,
      );
      return { dev, ino, mode, rdev, size, links: nlink };
    });
  }
}

/** Writes a number as the kernel names a descriptor, with a zero behind it. */
function writeName(target: Uint8Array, at: number, fd: number): void {
  const digits = String(fd);
  for (let i = 0; i < digits.length; i++) target[at + i] = digits.charCodeAt(i);
  target[at + digits.length] = 0;
}

/** Makes the calls for up to {@link MOST} descriptors. */
class Reader {
  readonly #names = new Uint8Array(MOST * NAME);
  readonly #links = new Uint8Array(MOST * LINK);
  readonly #texts = new Uint8Array(MOST * TEXT);
  /** For each the reading of its link, and the opening of its fdinfo. */
  readonly #look: CallBatch;
  /** For each the reading and the closing of that. */
  readonly #read: CallBatch;

  constructor() {
    const [names, links, texts] = [this.#names, this.#links, this.#texts].map(addressOf) as [
      bigint,
      bigint,
      bigint,
    ];
    const look: BatchCall[] = [], read: BatchCall[] = [];
    for (let index = 0; index < MOST; index++) {
      const name = names + BigInt(index * NAME);
      look.push(
        { name: "readlinkat", args: [0, name, links + BigInt(index * LINK), LINK] },
        { name: "openat", args: [0, name, O_CLOEXEC, 0] },
      );
      read.push(
        { name: "read", args: [-1, texts + BigInt(index * TEXT), TEXT] },
        { name: "close", args: [-1] },
      );
    }
    this.#look = new CallBatch(look);
    this.#read = new CallBatch(read);
  }

  /** What could be read of each. */
  read(links: bigint, infos: bigint, fds: readonly number[]): Partial<OpenDescriptor>[] {
    fds.forEach((fd, index) => {
      writeName(this.#names, index * NAME, fd);
      this.#look.setArgument(2 * index, 0, links);
      this.#look.setArgument(2 * index + 1, 0, infos);
    });
    this.#look.run(2 * fds.length);
    fds.forEach((_, index) => {
      const opened = this.#look.result(2 * index + 1);
      const fd = isErrno(opened) ? -1n : opened;
      this.#read.setArgument(2 * index, 0, fd);
      this.#read.setArgument(2 * index + 1, 0, fd);
    });
    this.#read.run(2 * fds.length);
    return fds.map((_, index) => {
      const link = textOf(this.#links, index * LINK, LINK, this.#look.result(2 * index));
      return {
        link: link === undefined ? undefined : parseFdLink(link),
        info: this.#infoOf(index * TEXT, this.#read.result(2 * index)),
      };
    });
  }

  #infoOf(at: number, result: bigint): FdInfo | undefined {
    if (result <= 0n || result >= BigInt(TEXT)) return undefined;
    const end = at + Number(result);
    return parsePlainFdInfo(this.#texts, at, end) ??
      parseFdInfo(decodeBytes(this.#texts.subarray(at, end)));
  }
}

/** @returns undefined where the call failed, or there may be more */
function textOf(
  from: Uint8Array,
  at: number,
  room: number,
  result: bigint,
): string | undefined {
  if (result <= 0n || result >= BigInt(room)) return undefined;
  return decodeBytes(from.subarray(at, at + Number(result)));
}
