/**
 * `/proc/PID/fd`: which descriptors a task has and what they lead to. Source: proc_pid_fd(5); kernel
 * fs/proc/fd.c and d_path() (fs/d_path.c).
 *
 * @module
 */

import { decodeBytes } from "../../../base/byte_text.ts";
import { isErrno } from "../errno.ts";
import { readLink } from "../files.ts";
import { cString, syscall } from "../libc_ffi.ts";
import { PATH_MAX } from "../path_pieces.ts";
import { SYSCALLS } from "../x86_64/syscalls.ts";
import { errnoOf, readTaskNumbers, taskError, taskExists, taskPath } from "./read.ts";

/**
 * The open descriptors of a task, ascending; none for a zombie. The directory of a process is that of its
 * leader: a thread may have another descriptor table, and a leader that ended has none.
 *
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readFds(pid: number, tid?: number): readonly number[] {
  return readTaskNumbers(pid, "fd", tid);
}

/** What the link of a descriptor says. */
export interface FdLink {
  /**
   * - `path`: a file with a path (from the reader's root), `path` in it;
   * - `anon-inode`: `path` is the kind without `anon_inode:` and brackets, for example `eventpoll`;
   * - `pipe`, `socket`, and namespaces (`mnt`, `net`, ...): `inode` in it;
   * - `memfd`: `path` is the name;
   * - `long-path`: a file whose path is longer than the kernel tells (PATH_MAX; see `long_link.ts`).
   */
  readonly kind: "path" | "long-path" | "anon-inode" | "memfd" | "pipe" | "socket" | "object";
  /** The link's text as the kernel gave it. */
  readonly text: string;
  /** The path or name, without ` (deleted)`. */
  readonly path: string;
  /** Of a pipe, a socket or another object `type:[inode]`. */
  readonly inode?: bigint;
  /** It ended in ` (deleted)`, which a file's own name may do too: compare inodes to know. */
  readonly deleted: boolean;
}

const DELETED = " (deleted)";
/** What is said in place of a path that cannot be found. */
const LONG_PATH = `a path of more than ${PATH_MAX - 1} bytes, which the kernel does not tell`;

/** Takes the text of such a link apart. Nothing in it is escaped, not even newlines. */
export function parseFdLink(text: string): FdLink {
  const deleted = text.endsWith(DELETED);
  const path = deleted ? text.slice(0, -DELETED.length) : text;
  if (deleted && path.startsWith("/memfd:")) {
    return { kind: "memfd", text, path: path.slice("/memfd:".length), deleted };
  }
  if (text.startsWith("/")) return { kind: "path", text, path, deleted };
  if (text.startsWith("anon_inode:")) {
    const name = text.slice("anon_inode:".length);
    // All but inotify have brackets (fs/notify/inotify/inotify_user.c).
    const kind = name.startsWith("[") ? name.slice(1, -1) : name;
    return { kind: "anon-inode", text, path: kind, deleted: false };
  }
  const object = /^(\w+):\[(\d+)\]$/.exec(text);
  if (object !== null) {
    const type = object[1]!;
    const kind = type === "pipe" || type === "socket" ? type : "object";
    return { kind, text, path: type, inode: BigInt(object[2]!), deleted: false };
  }
  // A path that the reader's root does not reach: `(unreachable)/...` or a relative one.
  return { kind: "path", text, path, deleted };
}

/**
 * Reads the link of one descriptor.
 *
 * @returns undefined if the descriptor is closed (meanwhile).
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function readFdLink(pid: number, fd: number, tid?: number): FdLink | undefined {
  const text = ifOpen(pid, fd, tid, (path) => {
    try {
      return readLink(path);
    } catch (error) {
      if (errnoOf(error) === "ENAMETOOLONG") return null;
      throw error;
    }
  });
  if (text !== null) return text === undefined ? undefined : parseFdLink(text);
  return { kind: "long-path", text: LONG_PATH, path: LONG_PATH, deleted: false };
}

/** What a descriptor's file is, from stat through the link. */
export interface FdIdentity {
  /** `st_dev` as user space encodes it (gnu_dev_makedev). */
  readonly dev: number;
  readonly ino: number;
  /** `st_mode` with the file's type (S_IFMT). */
  readonly mode: number;
  /** `st_rdev` of a device. */
  readonly rdev: number;
  readonly size: number;
  /** 0: the file has no name any more. */
  readonly links: number;
}

/**
 * Looks at the file behind a descriptor, also a deleted one. Twice as dear as the link alone: only for
 * what link and fdinfo do not tell.
 *
 * @returns undefined if the descriptor is closed (meanwhile).
 * @throws StasisError `no-such-task`, `no-privilege`.
 */
export function statFd(pid: number, fd: number, tid?: number): FdIdentity | undefined {
  const info = ifOpen(pid, fd, tid, Deno.statSync);
  if (info === undefined) return undefined;
  return {
    dev: info.dev,
    ino: info.ino ?? 0,
    mode: info.mode ?? 0,
    rdev: info.rdev ?? 0,
    size: info.size,
    links: info.nlink ?? 0,
  };
}

/**
 * Which protocol a socket speaks, as the kernel calls it: `UNIX`, `UNIX-STREAM`, `TCP`, `TCPv6`, `NETLINK`. It is
 * an extended attribute of every socket (sockfs_xattr_get() of `net/socket.c`).
 *
 * @returns undefined if the descriptor is closed (meanwhile) or is no socket
 */
export function readSocketProtocol(pid: number, fd: number): string | undefined {
  const path = cString(`${taskPath(pid)}/fd/${fd}`);
  const length = syscall(SYSCALLS.getxattr, path, PROTOCOL, protocol, protocol.byteLength);
  if (isErrno(length)) return undefined;
  // The length counts the zero at the end.
  return decodeBytes(protocol.subarray(0, Number(length) - 1));
}

const PROTOCOL = cString("system.sockprotoname");
const protocol = new Uint8Array(64);

function ifOpen<T>(
  pid: number,
  fd: number,
  tid: number | undefined,
  read: (path: string) => T,
): T | undefined {
  const path = `${taskPath(pid, tid)}/fd/${fd}`;
  try {
    return read(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && taskExists(pid, tid)) return undefined;
    throw taskError(error, path, pid, tid);
  }
}
