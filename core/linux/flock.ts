/**
 * flock(2) of directories and files: a lock that the kernel gives back when its owner dies, however that happens.
 *
 * @module
 */
import { Errno, errnoNumber, isErrno } from "./errno.ts";
import { AT_FDCWD, F, O } from "./fcntl.ts";
import { fileError } from "./files.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { FileStatus } from "./stat.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const LOCK_EX = 2, LOCK_NB = 4;
/** `include/uapi/asm-generic/fcntl.h`. */
const FD_CLOEXEC = 1;
const S_IFMT = 0o170000, S_IFDIR = 0o040000;

/** What openat(2) says of a directory that is none any more. */
const GONE: ReadonlySet<number> = new Set(
  ["ENOENT", "ENOTDIR", "ELOOP"].map(errnoNumber),
);

/**
 * Locks a directory, without waiting. No child inherits the lock.
 *
 * @param path no symbolic link
 * @returns the lock, which ends with its scope; `busy` where somebody else has it, or where the path leads to another
 * directory, or none, by now; `unsupported` where it cannot be locked: NFS has
 * no such locks of directories, for example
 */
export function lockDirectory(path: string): Disposable | "busy" | "unsupported" {
  const flags = O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), flags, 0);
  if (isErrno(opened)) return GONE.has(Number(-opened)) ? "busy" : "unsupported";
  const directory = new OwnedDescriptor(Number(opened));
  const locked = syscall(SYSCALLS.flock, directory.fd, LOCK_EX | LOCK_NB);
  if (!isErrno(locked) && isStill(directory.fd, path)) return directory;
  directory[Symbol.dispose]();
  // EWOULDBLOCK; or it was deleted, and another one made, between the two calls.
  return !isErrno(locked) || -locked === BigInt(Errno.EAGAIN) ? "busy" : "unsupported";
}

/** A lock of a file, which ends with its scope. */
export class FileLock implements Disposable {
  readonly #file: OwnedDescriptor;

  constructor(file: OwnedDescriptor) {
    this.#file = file;
  }

  /**
   * Has the processes that are started meanwhile inherit the lock: it ends when the last of them and this one have ended
   * or given it back.
   */
  inherited<T>(start: () => T): T {
    const { fd } = this.#file;
    syscall(SYSCALLS.fcntl, fd, F.SETFD, 0);
    try {
      return start();
    } finally {
      syscall(SYSCALLS.fcntl, fd, F.SETFD, FD_CLOEXEC);
    }
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

/**
 * Locks a file, which is made where there is none, without waiting. No child inherits the lock, but by {@link FileLock.inherited}. A file that is open for
 * writing can be locked on NFS too, and other machines see it.
 *
 * @returns the lock, which ends with its scope; `busy` where somebody else has it
 * @throws {StasisError} `io` where it cannot be opened or locked
 */
export function lockFile(path: string): FileLock | "busy" {
  const flags = O.RDWR | O.CREAT | O.NOFOLLOW | O.CLOEXEC;
  const opened = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), flags, 0o600);
  if (isErrno(opened)) throw fileError("open", path, opened);
  const file = new OwnedDescriptor(Number(opened));
  const locked = syscall(SYSCALLS.flock, file.fd, LOCK_EX | LOCK_NB);
  if (!isErrno(locked)) return new FileLock(file);
  file[Symbol.dispose]();
  if (-locked === BigInt(Errno.EAGAIN)) return "busy";
  throw fileError("lock", path, locked);
}

/** Whether a path leads to an open directory. */
function isStill(fd: number, path: string): boolean {
  const own = new Uint8Array(FileStatus.size);
  const there = new Uint8Array(FileStatus.size);
  const AT_SYMLINK_NOFOLLOW = 0x100;
  const found = syscall(SYSCALLS.newfstatat, AT_FDCWD, cString(path), there, AT_SYMLINK_NOFOLLOW);
  if (isErrno(found) || isErrno(syscall(SYSCALLS.fstat, fd, own))) return false;
  const [a, b] = [FileStatus.read(own), FileStatus.read(there)];
  return a.dev === b.dev && a.ino === b.ino && (a.mode & S_IFMT) === S_IFDIR;
}
