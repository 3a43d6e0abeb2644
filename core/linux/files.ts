/**
 * Files by their path, where that may be any bytes (`base/byte_text.ts`) and not just the text that Deno's own
 * functions take: stat(2), readlink(2). What is in a directory: `directory.ts`.
 *
 * @module
 */
import { decodeBytes, encodeBytesInto } from "../../base/byte_text.ts";
import { StasisError } from "../../base/errors.ts";
import { errnoName, isErrno } from "./errno.ts";
import { addressOf, cString, syscall } from "./libc_ffi.ts";
import { PATH_MAX, splitPath } from "./path_pieces.ts";
import { FileStatus } from "./stat.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const AT_FDCWD = -100, AT_SYMLINK_NOFOLLOW = 0x100;
/** O_PATH, O_DIRECTORY and O_CLOEXEC. */
const PASSING = 0o10000000 | 0o200000 | 0o2000000;
const S_IFMT = 0o170000, S_IFDIR = 0o040000, S_IFSOCK = 0o140000;

/**
 * Makes a call with a path of any length: with a directory and a path from there that the call takes.
 *
 * @returns the call's result, or the negative errno of opening a directory on the way
 */
export function atPath(path: string, call: (directory: number, path: string) => bigint): bigint {
  let at = AT_FDCWD;
  const leave = () => {
    if (at !== AT_FDCWD) syscall(SYSCALLS.close, at);
  };
  try {
    const pieces = splitPath(path);
    for (const piece of pieces.slice(0, -1)) {
      const next = syscall(SYSCALLS.openat, at, cString(piece), PASSING, 0);
      if (isErrno(next)) return next;
      leave();
      at = Number(next);
    }
    return call(at, pieces[pieces.length - 1] as string);
  } finally {
    leave();
  }
}

/** What stat(2) says of a file, in the words of `Deno.FileInfo`. */
export interface FileInfo {
  /** `st_dev` as user space encodes it. */
  readonly dev: number;
  readonly ino: number;
  /** With the file's type (S_IFMT). */
  readonly mode: number;
  /** 0: the file has no name any more. */
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
  readonly isDirectory: boolean;
  readonly isSocket: boolean;
}

/**
 * What a path leads to.
 *
 * @throws {StasisError} `io` with the errno's name
 */
export function statPath(path: string): FileInfo {
  return stat(path, 0);
}

/** The same, of a symbolic link itself. */
export function lstatPath(path: string): FileInfo {
  return stat(path, AT_SYMLINK_NOFOLLOW);
}

/** Kept, and their addresses with them: a checkpoint looks at thousands of files. */
const pathBuffer = new Uint8Array(PATH_MAX), statBuffer = new Uint8Array(FileStatus.size);
const pathAddress = addressOf(pathBuffer), statAddress = addressOf(statBuffer);

function stat(path: string, flags: number): FileInfo {
  const length = encodeBytesInto(path, pathBuffer);
  let result: bigint;
  if (length !== undefined && length < PATH_MAX) {
    pathBuffer[length] = 0;
    result = syscall(SYSCALLS.newfstatat, AT_FDCWD, pathAddress, statAddress, flags);
  } else {
    result = atPath(
      path,
      (at, rest) => syscall(SYSCALLS.newfstatat, at, cString(rest), statAddress, flags),
    );
  }
  if (isErrno(result)) throw fileError("look at", path, result);
  return readFileInfo(statBuffer, 0);
}

/** Takes a `struct stat` apart ({@link FileStatus}). */
export function readFileInfo(bytes: Uint8Array, offset: number): FileInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, FileStatus.size);
  // Not through the description of the structure, for the same reason.
  const mode = view.getUint32(24, true);
  return {
    dev: Number(view.getBigUint64(0, true)),
    ino: Number(view.getBigUint64(8, true)),
    mode,
    nlink: Number(view.getBigUint64(16, true)),
    uid: view.getUint32(28, true),
    gid: view.getUint32(32, true),
    rdev: Number(view.getBigUint64(40, true)),
    size: Number(view.getBigInt64(48, true)),
    blocks: Number(view.getBigInt64(64, true)),
    isDirectory: (mode & S_IFMT) === S_IFDIR,
    isSocket: (mode & S_IFMT) === S_IFSOCK,
  };
}

/** When a file was last modified, in nanoseconds since 1970. @throws {StasisError} `io` with the errno's name */
export function modifiedAt(path: string): bigint {
  stat(path, 0);
  const { mtime, mtimeNs } = FileStatus.read(statBuffer);
  return mtime * 1_000_000_000n + mtimeNs;
}

/**
 * Cuts a file off.
 *
 * @param length in bytes
 * @throws {StasisError} `io` with the errno's name
 */
export function cutFile(path: string, length: bigint): void {
  const O_WRONLY = 1, O_CLOEXEC = 0o2000000;
  const opened = atPath(
    path,
    (at, rest) => syscall(SYSCALLS.openat, at, cString(rest), O_WRONLY | O_CLOEXEC, 0),
  );
  const cut = isErrno(opened) ? opened : syscall(SYSCALLS.ftruncate, Number(opened), length);
  if (!isErrno(opened)) syscall(SYSCALLS.close, Number(opened));
  if (isErrno(cut)) throw fileError("cut back", path, cut);
}

const linkBuffer = new Uint8Array(PATH_MAX);

/**
 * The text of a symbolic link.
 *
 * @throws {StasisError} `io` with the errno's name; of a link of `/proc` to a file whose path is longer than
 * {@link PATH_MAX} that is ENAMETOOLONG: see `long_link.ts`
 */
export function readLink(path: string): string {
  const length = syscall(
    SYSCALLS.readlinkat,
    AT_FDCWD,
    cString(path),
    linkBuffer,
    linkBuffer.byteLength,
  );
  if (isErrno(length)) throw fileError("read the link", path, length);
  return decodeBytes(linkBuffer.subarray(0, Number(length)));
}

/** Whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof StasisError && (error.errno === "ENOENT" || error.errno === "ENOTDIR");
}

/** The error for a call that failed. @param what what could not be done, before the path: `open` */
export function fileError(what: string, path: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  const hint = errno === "ENAMETOOLONG"
    ? `the kernel tells and takes paths of up to ${PATH_MAX - 1} bytes`
    : undefined;
  return new StasisError("io", `could not ${what} ${path}: ${errno}`, { errno, hint });
}
