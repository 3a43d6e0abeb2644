/**
 * `/proc/PID/ns`: which namespaces a task is in. Source: namespaces(7); kernel fs/proc/namespaces.c,
 * fs/nsfs.c.
 *
 * @module
 */

import { isErrno } from "../errno.ts";
import { addressOf, cString, syscall } from "../libc_ffi.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";
import { malformed, readTaskLink, taskPath } from "./read.ts";

/** The files in the directory; `..._for_children` is what its next children are born into. */
export const NAMESPACE_NAMES = [
  "cgroup",
  "ipc",
  "mnt",
  "net",
  "pid",
  "pid_for_children",
  "time",
  "time_for_children",
  "user",
  "uts",
] as const;

/** A file in `/proc/PID/ns`. */
export type NamespaceName = typeof NAMESPACE_NAMES[number];

/** Inode numbers by file: two tasks with the same number are in the same namespace. */
export type Namespaces = Readonly<Partial<Record<NamespaceName, bigint>>>;

/** Parses a link's text, `mnt:[4026531832]`. The type is the file's without `_for_children`. */
export function parseNamespaceLink(
  text: string,
): { readonly type: string; readonly inode: bigint } {
  const match = /^(\w+):\[(\d+)\]$/.exec(text);
  if (match === null) throw malformed("ns", text);
  return { type: match[1]!, inode: BigInt(match[2]!) };
}

/**
 * Reads the namespaces of a task. Those that the kernel was built without are missing; of a zombie, all
 * but `pid` and `user`; and `pid_for_children` where none can be born into it any more.
 *
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readNamespaces(pid: number, tid?: number): Namespaces {
  const namespaces: Partial<Record<NamespaceName, bigint>> = {};
  for (const name of NAMESPACE_NAMES) {
    const text = readTaskLink(pid, `ns/${name}`, tid);
    if (text !== undefined) namespaces[name] = parseNamespaceLink(text).inode;
  }
  return namespaces;
}

const O_PATH_DIRECTORY = 0o10000000 | 0o200000 | 0o2000000;
const AT_FDCWD = -100;
/** Room for `pid_for_children:[4026531836]` and the like. */
const LINK_SIZE = 64;

/**
 * Tells threads that are in the same namespaces as the first one of their process from those that may not be: a
 * thousand threads are looked at while their process stands still.
 */
export class NamespaceComparison {
  readonly #pid: number;
  readonly #names: readonly { readonly name: Uint8Array; readonly address: bigint }[];
  readonly #link = new Uint8Array(LINK_SIZE);
  readonly #address = addressOf(this.#link);
  /** What the links of the first thread say; undefined where one cannot be read. */
  readonly #expected: readonly Uint8Array[] | undefined;

  /** @param names which are compared */
  constructor(pid: number, names: readonly NamespaceName[]) {
    this.#pid = pid;
    this.#names = names.map((one) => {
      const name = cString(one);
      return { name, address: addressOf(name) };
    });
    const expected: Uint8Array[] = [];
    const complete = this.#readAll(pid, (_, link) => expected.push(link.slice()) > 0);
    this.#expected = complete ? expected : undefined;
  }

  /** Whether a thread is surely in the same ones. */
  isSame(tid: number): boolean {
    const expected = this.#expected;
    return expected !== undefined && this.#readAll(tid, (index, link) => {
      const other = expected[index] as Uint8Array;
      return link.length === other.length && link.every((byte, at) => byte === other[at]);
    });
  }

  /** @returns whether all could be read, and `look` was content with each */
  #readAll(tid: number, look: (index: number, link: Uint8Array) => boolean): boolean {
    const path = cString(`${taskPath(this.#pid, tid)}/ns`);
    const directory = syscall(SYSCALLS.openat, AT_FDCWD, path, O_PATH_DIRECTORY, 0);
    if (isErrno(directory)) return false;
    try {
      return this.#names.every(({ address }, index) => {
        const length = syscall(SYSCALLS.readlinkat, directory, address, this.#address, LINK_SIZE);
        return !isErrno(length) && look(index, this.#link.subarray(0, Number(length)));
      });
    } finally {
      syscall(SYSCALLS.close, directory);
    }
  }
}
