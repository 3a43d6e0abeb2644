/**
 * `/proc/PID/ns`: which namespaces a task is in. Source: namespaces(7); kernel fs/proc/namespaces.c,
 * fs/nsfs.c.
 *
 * @module
 */

import { malformed, readTaskLink } from "./read.ts";

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
