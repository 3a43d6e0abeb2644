/**
 * Where a file that the tree refers to is to be found at restore: by its path, by another name that it has,
 * or nowhere, since it was deleted.
 *
 * The text of a link of /proc alone does not tell: a name may really end in " (deleted)", another file may
 * have taken the name, or a mount may hide it. What stat(2) says of the path and of the link does.
 *
 * @module
 */
import { decodeBytes } from "../../base/byte_text.ts";
import type { Problem } from "../../base/errors.ts";
import { errnoName, isErrno } from "../linux/errno.ts";
import { type FileInfo, lstatPath, readLink, statPath } from "../linux/files.ts";
import { cString, syscall } from "../linux/libc_ffi.ts";
import { readTaskFileLink } from "../linux/long_link.ts";
import { PATH_MAX } from "../linux/path_pieces.ts";
import { errnoOf, statTaskLink } from "../linux/procfs/mod.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import type { OperationOptions } from "../plugin.ts";
import { otherNames } from "./other_names.ts";
import type { Descriptor } from "./task.ts";

type Finding = Omit<Problem, "plugin" | "pid">;

/** Where a file is. */
export interface Whereabouts {
  /** The path to open at restore, from the root of this process. Of a deleted file the one that it had. */
  readonly path: string;
  /**
   * Set if it was deleted, has names that are not known, or is a file of a task that is gone: the path below /proc that
   * leads to it.
   */
  readonly behind?: string;
}

/** What stat(2) says of the file that is looked for. */
export interface FileFacts {
  readonly dev: number;
  readonly ino: number | null;
  readonly mode: number | null;
  /** 0: it has no name any more. */
  readonly links: number | null;
}

/** A file that is nowhere, and cannot be saved itself. */
export interface Lost {
  readonly problem: Finding;
}

/** Bytes up to which a deleted file is saved if the user does not say (as in CRIU). */
export const GHOST_LIMIT: bigint = 1n << 20n;

/** How often a file is looked for whose path leads to another one, in a program that goes on meanwhile. */
const LOOKS = 10;
const DELETED = " (deleted)";
/** `f_type` of POSIX message queues (`ipc/mqueue.c`). */
const MQUEUE_MAGIC = 0x19800202n;
/** `f_type` of hugetlbfs (`include/uapi/linux/magic.h`). */
const HUGETLBFS_MAGIC = 0x958458f6n;
const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFDIR = 0o040000, S_IFLNK = 0o120000;
const S_IFSOCK = 0o140000;

/**
 * Looks for a file.
 *
 * @param behind a path below /proc that leads to it: `fd/N`, `map_files/...`, `cwd`, `exe`, `root`
 * @param text what readlink(2) says of that path
 * @param what it is, for messages: `its descriptor 5`
 * @param meant what stat(2) says of `behind`, if the caller knows
 * @param looks how often it may be looked for anew: a program that runs may have closed, renamed or deleted the file
 *   since `text` was read, and have made another one of that name
 * @throws {StasisError} `no-such-task` where that is gone
 */
export function findFile(
  behind: string,
  text: string,
  what: string,
  options: OperationOptions,
  meant: FileFacts = factsOf(statTaskLink(behind)),
  looks = LOOKS,
): Whereabouts | Lost {
  const found = lookAt(text, meant);
  if (found !== undefined && isSame(found, meant)) return { path: text };
  const dead = meant.dev === procDevice() ? deadTaskPath(text) : undefined;
  if (dead !== undefined) return { path: dead, behind };
  if (!text.endsWith(DELETED)) {
    const now = looks > 0 ? changedLink(behind, text, meant) : undefined;
    if (now !== undefined) return findFile(behind, now.text, what, options, now.meant, looks - 1);
    return lost(text, what, found !== undefined);
  }
  const path = text.slice(0, -DELETED.length);
  // Some file systems leave a deleted directory its links.
  if (meant.links === 0 || typeOf(meant) === S_IFDIR) {
    const problem = ghostProblem(behind, path, `${what} is a deleted file, ${path},`, options);
    return problem === undefined ? { path, behind } : { problem };
  }
  const other = otherNames(options).find(existingParent(path), meant);
  if (other !== undefined) return { path: other };
  const name =
    `${what} is a file whose name ${path} was deleted while it has other names elsewhere`;
  if (options.linkRemap !== true) {
    return {
      problem: {
        what: `${name}, and none was found near it`,
        hint:
          "have it get a name for the images (--link-remap), give it its own back (ln), or close it",
      },
    };
  }
  if (fileSystemOf(behind) === fileSystemOf(existingParent(path))) return { path, behind };
  return {
    problem: {
      what: `${name}, on a file system that is not there any more`,
      hint: "mount it again at its place, or close the file before the checkpoint",
    },
  };
}

/** What a link of a task says by now, and what stat(2) says of it; undefined where that is what it was. */
function changedLink(
  behind: string,
  text: string,
  meant: FileFacts,
): { readonly text: string; readonly meant: FileFacts } | undefined {
  const now = { meant: factsOf(statTaskLink(behind)), text: linkNow(behind) ?? text };
  return now.text === text && isSame(now.meant, meant) ? undefined : now;
}

/** What a link says; undefined where that is longer than the kernel tells, or it is gone just now. */
function linkNow(behind: string): string | undefined {
  try {
    return readLink(behind);
  } catch {
    return undefined;
  }
}

/**
 * The path of a file of `/proc` that belongs to a task which is gone, and that can be opened of another one with its id.
 *
 * @param text what readlink(2) says of it; only its directory itself is marked as deleted
 */
function deadTaskPath(text: string): string | undefined {
  const path = text.endsWith(DELETED) ? text.slice(0, -DELETED.length) : text;
  const pid = ownerOf(path);
  const isGone = pid !== undefined && lookAt(`/proc/${pid}`, { mode: S_IFDIR }) === undefined;
  return isGone ? path : undefined;
}

/** The id of the task whose file of `/proc` a path is: its directory, or what is in there by a fixed name. */
function ownerOf(path: string): number | undefined {
  const pid = /^\/proc\/(\d+)(\/[a-z_]+)?$/.exec(path)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** The id of the task that is gone and whose file is behind a path; undefined of all others. */
export function deadTaskBehind(behind: string): number | undefined {
  if (statTaskLink(behind).dev !== procDevice()) return undefined;
  const path = deadTaskPath(readLink(behind));
  return path === undefined ? undefined : ownerOf(path);
}

/**
 * The same of a link of a task by its name; undefined if it has none.
 *
 * @throws {StasisError} `no-such-task`
 */
export function findTaskFile(
  pid: number,
  link: "cwd" | "root" | "exe",
  what: string,
  options: OperationOptions,
): Whereabouts | Lost | undefined {
  const text = linkText(pid, link, what);
  return typeof text === "string" ? findFile(`/proc/${pid}/${link}`, text, what, options) : text;
}

/**
 * What a link of a task says; undefined if it has none.
 *
 * @throws {StasisError} `no-such-task`
 */
export function linkText(
  pid: number,
  link: "cwd" | "root" | "exe",
  what: string,
): string | Lost | undefined {
  try {
    return readTaskFileLink(pid, link);
  } catch (error) {
    if (errnoOf(error) !== "ENAMETOOLONG") throw error;
    // Of a task that has ended meanwhile there is nothing to say.
    statTaskLink(`/proc/${pid}/${link}`);
    return { problem: pathTooLong(what) };
  }
}

/** Says that a path of `/proc` leads to a file whose own path is longer than the kernel tells, and not to be found. */
export function pathTooLong(what: string): Finding {
  return {
    what: `${what} has a path of more than ${PATH_MAX - 1} bytes, which cannot be found`,
    hint: "only directories and regular files that are still there can have so long a path",
  };
}

function lost(path: string, what: string, replaced: boolean): Lost {
  const problem = replaced
    ? {
      what: `${what} is ${path}, but that path leads to another file now`,
      hint: "it was replaced or something is mounted over it: undo that, or close it",
    }
    : isForbidden(path)
    ? {
      what: `${what} is ${path}, which this process may not look at (EACCES)`,
      hint: "run the command as root, or have whoever starts the program open something else",
    }
    : {
      what: `${what} is ${path}, which does not exist any more`,
      hint: "give the file its name back (ln), or close it before the checkpoint",
    };
  return { problem };
}

/** Whether a path leads through a directory that is closed to this process. */
function isForbidden(path: string): boolean {
  try {
    statPath(path);
    return false;
  } catch (error) {
    return errnoOf(error) === "EACCES";
  }
}

/** Why a deleted file cannot be saved with its contents. */
function ghostProblem(
  behind: string,
  path: string,
  what: string,
  { ghostLimit = GHOST_LIMIT }: OperationOptions,
): Finding | undefined {
  const { mode, dev, size, blocks } = statTaskLink(behind);
  const type = typeOf({ mode });
  if (dev === procDevice()) {
    return {
      what: `${what} which was of a task or a thread that has ended, and cannot be saved`,
      hint: "close it before the checkpoint, or change the directory",
    };
  }
  if (fileSystemOf(behind) !== fileSystemOf(existingParent(path))) {
    return {
      what: `${what} of a file system that is not there any more`,
      hint: "mount it again at its place, or close the file before the checkpoint",
    };
  }
  const attributes = extendedAttributes(behind);
  if (attributes.length > 0) {
    return {
      what: `${what} with extended attributes, which cannot be saved: ${attributes.join(", ")}`,
      hint: "remove them (setfattr -x, setfacl -b), or close it before the checkpoint",
    };
  }
  if (type === S_IFSOCK) return { what: `${what} which cannot be saved: it is a socket` };
  if (type !== S_IFREG) return undefined;
  // Holes are not saved; the last block may not be full.
  const used = Math.min(size, (blocks ?? 0) * 512);
  if (BigInt(used) <= ghostLimit) return undefined;
  return {
    what: `${what} of ${used} bytes, more than the limit of ${ghostLimit}`,
    hint: `raise the limit (--ghost-limit ${used}), or close it before the checkpoint`,
  };
}

/** What tells a file system from others: `f_type` and `f_fsid` of statfs(2). */
function fileSystemOf(path: string): string {
  const found = statfs(path);
  return typeof found === "string" ? found : `${found[0]} ${found[7]}`;
}

/** `f_type` of statfs(2). */
function fileSystemType(path: string): bigint | undefined {
  const found = statfs(path);
  return typeof found === "string" ? undefined : found[0];
}

/**
 * Whether a descriptor is of a POSIX message queue that mq_open(3) has opened: they are on a mount of the kernel's own,
 * where their names are all that there is of a path.
 */
export function isMessageQueue(descriptor: Descriptor): boolean {
  const { link } = descriptor;
  return link.kind === "path" && /^\/[^/]+$/s.test(link.path) &&
    isOnFileSystem(descriptor, MQUEUE_MAGIC);
}

/** Whether a file is of a kind of file system. @param type `f_type` of statfs(2) */
export function isOnFileSystem({ liveTid, fd }: Descriptor, type: bigint): boolean {
  return fileSystemType(`/proc/${liveTid}/fd/${fd}`) === type;
}

/**
 * The size of the pages of a file of hugetlbfs, where each file system has pages of one size.
 *
 * @returns in bytes; undefined of all other files, and where there is none
 */
export function hugePageSize(path: string): number | undefined {
  const found = statfs(path);
  return typeof found === "string" || found[0] !== HUGETLBFS_MAGIC ? undefined : Number(found[1]);
}

/** The words of struct statfs, or the errno's name. */
function statfs(path: string): BigUint64Array | string {
  const bytes = new BigUint64Array(15); // 120 bytes
  const result = syscall(SYSCALLS.statfs, cString(path), bytes);
  return isErrno(result) ? errnoName(-result) : bytes;
}

/** The nearest directory above a path that exists. */
export function existingParent(path: string): string {
  for (let at = path;;) {
    at = at.slice(0, at.lastIndexOf("/")) || "/";
    if (at === "/" || lookAt(at, { mode: 0 }) !== undefined) return at;
  }
}

/** Those that a program sets; labels of security modules come by themselves. */
function extendedAttributes(behind: string): string[] {
  const bytes = new Uint8Array(1 << 16);
  const length = syscall(SYSCALLS.listxattr, cString(behind), bytes, bytes.byteLength);
  if (isErrno(length)) return [];
  const names = decodeBytes(bytes.subarray(0, Number(length))).split("\0");
  return names.filter((name) =>
    name !== "" && (!name.startsWith("security.") || name === "security.capability")
  );
}

/** What of stat(2) tells a file from others. */
export function factsOf({ dev, ino, mode, nlink }: FileInfo | Deno.FileInfo): FileFacts {
  return { dev, ino, mode, links: nlink };
}

function typeOf({ mode }: { readonly mode: number | null }): number {
  return (mode ?? 0) & S_IFMT;
}

function lookAt(path: string, meant: { readonly mode: number | null }): FileFacts | undefined {
  try {
    return factsOf(typeOf(meant) === S_IFLNK ? lstatPath(path) : statPath(path));
  } catch {
    return undefined;
  }
}

function isSame(found: FileFacts, meant: FileFacts): boolean {
  if (found.dev !== meant.dev) return false;
  if (found.ino === meant.ino) return true;
  // Inodes of /proc/PID come and go with their cache entries (proc_pid_make_inode() of fs/proc/base.c).
  return found.dev === procDevice() && typeOf(found) === typeOf(meant);
}

let proc: number | undefined;

function procDevice(): number {
  return proc ??= statPath("/proc").dev;
}
