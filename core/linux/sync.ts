/**
 * Writing to the disk: of an image directory syncfs(2) does it by one call, after sync_file_range(2) has done most of
 * it in pieces.
 *
 * @module
 */
import { StasisError } from "../../base/errors.ts";
import { imageNames } from "../../images/parent.ts";
import { errnoName, isErrno } from "./errno.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

const O_CLOEXEC = 0o2000000;
const O_DIRECTORY = 0o200000;
/** SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE, _WAIT_AFTER (`include/uapi/linux/fs.h`). */
const BEGIN = 2, FINISH = 1 | 2 | 4;
/** How much is waited for by one call, which nothing can interrupt: a slow disk takes a second for it. */
const PIECE = 8n << 20n;

/**
 * Writes a directory with its files to the disk, and with it everything of their file system.
 *
 * @param check is called between two pieces, and may throw
 * @throws {StasisError} `io`
 */
export function syncFileSystem(directory: string, check: () => void): void {
  // First, for it tells of the errors that come from now on.
  using file = open(directory, O_DIRECTORY);
  for (const name of imageNames(directory)) {
    const path = `${directory}/${name}`;
    if (BigInt(Deno.lstatSync(path).size) > PIECE) writeBack(path, check);
    check();
  }
  sync(directory, file);
}

/**
 * Writes the file systems that directories are on to the disk, each of them once. Directories that are gone are passed
 * by, with the files in them.
 *
 * @param except a directory whose file system needs it not
 * @param check is called before each, and may throw
 * @throws {StasisError} `io`
 */
export function syncAround(
  directories: Iterable<string>,
  except?: string,
  check: () => void = () => {},
): void {
  const done = new Set(except === undefined ? [] : [deviceOf(except)]);
  for (const directory of directories) {
    const device = deviceOf(directory);
    if (device === undefined || done.has(device)) continue;
    done.add(device);
    check();
    using file = open(directory, O_DIRECTORY);
    sync(directory, file);
  }
}

/** The number of the device that a directory is on; undefined where it is gone. */
function deviceOf(directory: string): number | undefined {
  try {
    return Deno.statSync(directory).dev;
  } catch {
    return undefined;
  }
}

/** Writes the file system of an open directory. @throws {StasisError} `io` */
function sync(directory: string, file: OwnedDescriptor): void {
  const synced = syscall(SYSCALLS.syncfs, file.fd);
  if (isErrno(synced)) throw failed(directory, synced);
}

/** Writes the data of a file. */
function writeBack(path: string, check: () => void): void {
  using file = open(path, 0);
  const size = BigInt(Deno.statSync(path).size);
  const range = (at: bigint, flags: number) => {
    const result = syscall(SYSCALLS.sync_file_range, file.fd, at, PIECE, flags);
    if (isErrno(result)) throw failed(path, result);
  };
  for (let at = 0n; at < size; at += PIECE) {
    // The disk has the next piece to do while this one is waited for.
    range(at + PIECE, BEGIN);
    range(at, FINISH);
    check();
  }
}

function open(path: string, flags: number): OwnedDescriptor {
  const opened = syscall(SYSCALLS.openat, -100, cString(path), flags | O_CLOEXEC, 0);
  if (isErrno(opened)) throw failed(path, opened);
  return new OwnedDescriptor(Number(opened));
}

function failed(directory: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("io", `${directory} cannot be written to the disk: ${errno}`, { errno });
}
