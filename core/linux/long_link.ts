/**
 * Links of `/proc` to files whose paths are longer than readlink(2) tells (PATH_MAX).
 *
 * A directory leads to its parent, in which it has its name, and so on up to one whose path is short enough. A regular
 * file does not; but `/proc/PID/maps` shows paths of any length (seq_path() of `fs/seq_file.c`), so it is mapped here
 * for a moment. Of anything else, and of what was deleted, the kernel does not tell.
 *
 * What is mapped is a duplicate of the descriptor, which nobody notices. What cannot be had or read so is opened,
 * unless somebody has a lease on it: open(2) has that taken back, whether it waits or not (`break_lease()`).
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { type DirectoryEntry, readEntries, readNames } from "./directory.ts";
import { isErrno } from "./errno.ts";
import { AT_FDCWD, O } from "./fcntl.ts";
import { fileError, type FileInfo, lstatPath, readLink, statPath } from "./files.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { MAP, PROT } from "./mman.ts";
import { openThreadPidfd, OwnedDescriptor, takeDescriptor } from "./pidfd.ts";
import { errnoOf, readLocks, readMaps, readStatus, readTaskLink, taskPath } from "./procfs/mod.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const S_IFMT = 0o170000, S_IFREG = 0o100000;
const PAGE = 4096;
/** So many paths that look the same are tried. */
const MOST_PATHS = 64;

/**
 * Reads a link of `/proc` that says ENAMETOOLONG.
 *
 * @returns undefined where the path cannot be found
 */
export function readLongLink(link: string): string | undefined {
  try {
    using file = open(link, O.PATH);
    const info = statPath(`/proc/self/fd/${file.fd}`);
    if (info.isDirectory) return directoryPath(file);
    return (info.mode & S_IFMT) === S_IFREG ? mappedPath(link, info) : undefined;
  } catch (error) {
    // It is moved or closed meanwhile, may not be looked at, or lies on a file system that maps nothing.
    if (error instanceof StasisError) return undefined;
    throw error;
  }
}

/**
 * Like `readTaskLink()`, of a link to a file, however long its path.
 *
 * @throws {StasisError} `no-such-task`, `no-privilege`; with ENAMETOOLONG where the path cannot be found
 */
export function readTaskFileLink(pid: number, name: "cwd" | "root" | "exe"): string | undefined {
  try {
    return readTaskLink(pid, name);
  } catch (error) {
    if (errnoOf(error) !== "ENAMETOOLONG") throw error;
    const path = readLongLink(`${taskPath(pid)}/${name}`);
    if (path === undefined) throw error;
    return path;
  }
}

/** @returns undefined where it was deleted */
function directoryPath(directory: OwnedDescriptor): string | undefined {
  using above = new DisposableStack();
  const names: string[] = [];
  for (let at = directory;;) {
    const parent = above.use(open(`/proc/self/fd/${at.fd}/..`, O.PATH | O.DIRECTORY));
    const name = nameIn(parent, statPath(`/proc/self/fd/${at.fd}`));
    if (name === undefined) return undefined;
    names.unshift(name);
    try {
      const path = readLink(`/proc/self/fd/${parent.fd}`);
      return [path, ...names].join("/");
    } catch (error) {
      if (errnoOf(error) !== "ENAMETOOLONG") throw error;
    }
    at = parent;
  }
}

/** The name that a file has in a directory. */
function nameIn(directory: OwnedDescriptor, file: FileInfo): string | undefined {
  const path = `/proc/self/fd/${directory.fd}`;
  const named = ({ name }: DirectoryEntry): boolean => {
    if (name === "." || name === "..") return false;
    try {
      return isSame(lstatPath(`${path}/${name}`), file);
    } catch {
      // It is gone meanwhile.
      return false;
    }
  };
  const entries = readEntries(path);
  const found = entries.find((entry) => entry.ino === BigInt(file.ino) && named(entry)) ??
    // What is mounted on a directory has another inode than the entry.
    entries.find(named);
  return found?.name;
}

/** @returns undefined where it was deleted, has another name by now, or somebody would notice */
function mappedPath(link: string, info: FileInfo): string | undefined {
  const [, tid, fd] = /^\/proc\/(\d+)\/fd\/(\d+)$/.exec(link) ?? [];
  if (tid !== undefined) {
    const { tgid } = readStatus(Number(tid));
    using thread = openThreadPidfd(Number(tid), tgid);
    using file = takeDescriptor(thread, tgid, Number(fd));
    const shown = shownPath(file);
    if (typeof shown === "string") return pathsShownAs(shown).find((path) => leadsTo(path, info));
  }
  const isLeased = readLocks().some(({ type, inode }) =>
    (type === "LEASE" || type === "DELEG") && inode === BigInt(info.ino)
  );
  if (isLeased) return undefined;
  using file = openForReading(link);
  const shown = shownPath(file);
  if (typeof shown === "bigint") throw fileError("map", link, shown);
  return pathsShownAs(shown).find((path) => leadsTo(path, info));
}

/** The path of a file, as `maps` shows it; or the errno of mapping it, as of one that cannot be read. */
function shownPath(file: OwnedDescriptor): string | bigint {
  const address = syscall(SYSCALLS.mmap, 0, PAGE, PROT.NONE, MAP.PRIVATE, file.fd, 0);
  if (isErrno(address)) return address;
  try {
    const mapping = readMaps(Deno.pid).find(({ start }) => start === address);
    return mapping?.deleted === true ? `${mapping.name} (deleted)` : mapping?.name ?? "";
  } finally {
    syscall(SYSCALLS.munmap, address, PAGE);
  }
}

/**
 * The paths that `maps` shows as this one: a newline is one, or the four characters by which the kernel shows one.
 *
 * @param shown with newlines in place of both
 */
function pathsShownAs(shown: string): string[] {
  let paths = [""];
  for (const name of shown.split("/").slice(1)) {
    const longer = paths.flatMap((path) => {
      if (!name.includes("\n")) return `${path}/${name}`;
      return namesIn(path).filter((one) => one.replaceAll("\\012", "\n") === name)
        .map((one) => `${path}/${one}`);
    });
    paths = longer.slice(0, MOST_PATHS);
  }
  return paths;
}

function namesIn(path: string): string[] {
  try {
    return readNames(path === "" ? "/" : path);
  } catch (error) {
    // It is no directory.
    if (error instanceof StasisError) return [];
    throw error;
  }
}

function leadsTo(path: string, info: FileInfo): boolean {
  try {
    return isSame(statPath(path), info);
  } catch {
    return false;
  }
}

function isSame(a: FileInfo, b: FileInfo): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Leaves its time of access as it is, where the file is ours or we are root; waits for nobody who takes a lease now. */
function openForReading(link: string): OwnedDescriptor {
  const flags = O.RDONLY | O.NONBLOCK;
  try {
    return open(link, flags | O.NOATIME);
  } catch (error) {
    if (errnoOf(error) === "EPERM") return open(link, flags);
    throw error;
  }
}

function open(path: string, flags: number): OwnedDescriptor {
  const result = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), flags | O.CLOEXEC, 0);
  if (isErrno(result)) throw fileError("open", path, result);
  return new OwnedDescriptor(Number(result));
}
