/**
 * `/proc/PID/ns`: which namespaces a task is in. Source: namespaces(7); kernel fs/proc/namespaces.c,
 * fs/nsfs.c.
 *
 * @module
 */

import { cString } from "../libc_ffi.ts";
import { Own, Returned, Sweep, type SweepCall } from "../sweep.ts";
import { takeAhead } from "../x86_64/read_ahead_ffi.ts";
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

let own: Namespaces | undefined;

/** The namespaces of this process, which it does not leave. */
export function ownNamespaces(): Namespaces {
  return own ??= readNamespaces(Deno.pid);
}

const O_PATH_DIRECTORY = 0o10000000 | 0o200000 | 0o2000000;
const AT_FDCWD = -100;
/** Room for the path of a directory, and for `pid_for_children:[4026531836]` and the like. */
const PATH_SIZE = 64, LINK_SIZE = 64;

/**
 * Tells tasks and threads that are in the same namespaces as one of them from those that may not be: a thousand are
 * looked at while they stand still.
 */
export class NamespaceComparison {
  readonly #names: readonly NamespaceName[];
  readonly #sweep: Sweep;

  /** @param names which are compared */
  constructor(names: readonly NamespaceName[]) {
    this.#names = names;
    this.#sweep = new Sweep([
      { name: "openat", args: [AT_FDCWD, new Own(0), O_PATH_DIRECTORY, 0] },
      ...names.map((name, index): SweepCall => {
        const link = new Own(PATH_SIZE + index * LINK_SIZE);
        return { name: "readlinkat", args: [new Returned(0), cString(name), link, LINK_SIZE] };
      }),
      { name: "close", args: [new Returned(0)] },
    ], PATH_SIZE + names.length * LINK_SIZE);
  }

  /**
   * The threads of these that are not surely in the same ones as the first.
   *
   * @param pid the process whose threads they are; absent where they are processes
   */
  findOthers(first: number, tids: readonly number[], pid?: number): number[] {
    const others: number[] = [];
    let expected: Uint8Array[] | undefined;
    const isOther = (links: readonly Uint8Array[]): boolean =>
      expected === undefined || links.length < expected.length ||
      !expected.every((link, name) => isEqual(link, links[name] as Uint8Array));
    // What the first one has is expected of the others.
    this.#read([first], (_, links) => {
      if (links.length === this.#names.length) expected = links.map((link) => link.slice());
    });
    const unread: number[] = [];
    for (const tid of tids) {
      const links = this.#ahead(pid === undefined ? taskPath(tid) : taskPath(pid, tid));
      if (links === undefined) unread.push(tid);
      else if (isOther(links)) others.push(tid);
    }
    this.#read(unread, (tid, links) => {
      if (isOther(links)) others.push(tid);
    });
    return others;
  }

  /** What another thread has read of all the names; undefined where it has not. */
  #ahead(path: string): Uint8Array[] | undefined {
    const links: Uint8Array[] = [];
    for (const name of this.#names) {
      const [link] = takeAhead(`${path}/ns/${name}`) ?? [];
      if (link === undefined) return undefined;
      links.push(link);
    }
    return links;
  }

  /** Reads them. @param look is given those that could be read, for as long as it looks at them */
  #read(tids: readonly number[], look: (tid: number, links: readonly Uint8Array[]) => void): void {
    this.#sweep.run(tids, {
      // Each thread has a directory there, whether it is listed or not.
      fill: (own, _, index) => own.set(cString(`/proc/${tids[index]}/ns`)),
      look: (tid, { own, result }) => {
        const links: Uint8Array[] = [];
        for (let name = 0; name < this.#names.length; name++) {
          const length = result(1 + name);
          const start = PATH_SIZE + name * LINK_SIZE;
          if (length > 0) links.push(own.subarray(start, start + length));
        }
        look(tid, links);
      },
    });
  }
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return false;
  return true;
}
