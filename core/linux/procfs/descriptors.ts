/**
 * All descriptors of a task, read together: there may be thousands, while the task stands still. What is special
 * about one (a path of any length, a long list of what an epoll watches, a failure) the readers of a single one know.
 *
 * @module
 */
import { decodeBytes, encodeBytes } from "../../../base/byte_text.ts";
import { isErrno } from "../errno.ts";
import { addressOf, cString, syscall } from "../libc_ffi.ts";
import { type BatchCall, CallBatch } from "../x86_64/call_batch_ffi.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";
import { type FdLink, parseFdLink, readFdLink, readFds } from "./fd.ts";
import { type FdInfo, parseFdInfo, readFdInfo } from "./fdinfo.ts";
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
      const name = encodeBytes(`${fd}\0`);
      this.#names.set(name, index * NAME);
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
      const info = textOf(this.#texts, index * TEXT, TEXT, this.#read.result(2 * index));
      return {
        link: link === undefined ? undefined : parseFdLink(link),
        info: info === undefined ? undefined : parseFdInfo(info),
      };
    });
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
