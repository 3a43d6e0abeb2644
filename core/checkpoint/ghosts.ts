/**
 * Files that were deleted while the tree has them open, mapped, or as a directory to work in ("ghosts"):
 * `ghost-file-ID.img` has such a file with its contents, once for each inode, and `remap-fpath.img` says
 * which entries of `files.img` mean it. The form is CRIU's, so times are whole microseconds. One that has another name
 * which nobody knows gets one for the time being (`link_remaps.ts`).
 *
 * @module
 */
import { decodeUserDevice, encodeKernelDevice } from "../../images/device.ts";
import { remap_type } from "../../images/gen/paths_pb.ts";
import { encodeGhostChunkHead } from "../../images/ghost_chunks.ts";
import { GHOST_FILE, REMAP_FPATH } from "../../images/kinds/files.ts";
import type { ImageWriter } from "../../images/mod.ts";
import { splitMicroseconds } from "../../images/time.ts";
import { decodeBytes } from "../../base/byte_text.ts";
import { StasisError } from "../../base/errors.ts";
import { errnoName, errnoNumber, isErrno } from "../linux/errno.ts";
import { AT_FDCWD, O } from "../linux/fcntl.ts";
import { readLink } from "../linux/files.ts";
import { cString, pread, syscall } from "../linux/libc_ffi.ts";
import { PATH_MAX } from "../linux/path_pieces.ts";
import { OwnedDescriptor } from "../linux/pidfd.ts";
import { FileStatus } from "../linux/stat.ts";
import { SYSCALLS } from "../linux/x86_64/syscalls.ts";
import { deadTaskBehind, hugePageSize } from "./file_location.ts";

const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFDIR = 0o040000, S_IFLNK = 0o120000;
const S_IFCHR = 0o020000, S_IFBLK = 0o060000;
const SEEK_DATA = 3, SEEK_HOLE = 4;

/** So much of a deleted file is in memory at a time, in bytes. */
const PIECE = 1n << 20n;

/** Saves ghosts, each once. */
export class GhostWriter {
  readonly #writer: ImageWriter;
  readonly #ids = new Map<string, number>();
  readonly #link: (behind: string, path: string, status: ReturnType<typeof statusOf>) => number;

  /**
   * @param link gives a file another name for the time being, and adds that to `files.img`, of a path below /proc that
   *   leads to it, the path that it had, and what fstat(2) says of it; returns the entry's id
   */
  constructor(
    writer: ImageWriter,
    link: (behind: string, path: string, status: ReturnType<typeof statusOf>) => number,
  ) {
    this.#writer = writer;
    this.#link = link;
  }

  /**
   * Says that an entry of `files.img` means a deleted file, and saves that file when it is met first, or gives it
   * another name if it has any; or that it means a file of a task that is gone, whose id is saved.
   *
   * @param fileId the id of the entry
   * @param behind a path below /proc that leads to the file
   */
  save(fileId: number, behind: string): void {
    const dead = deadTaskBehind(behind);
    if (dead !== undefined) {
      this.#writer.append(REMAP_FPATH, null, {
        origId: fileId,
        remapId: dead,
        remapType: remap_type.PROCFS,
      });
      return;
    }
    using file = open(behind, O.PATH);
    const status = statusOf(file.fd, behind);
    if (status.links > 0n && (status.mode & S_IFMT) !== S_IFDIR) {
      const path = readLink(behind).replace(/ \(deleted\)$/, "");
      this.#writer.append(REMAP_FPATH, null, {
        origId: fileId,
        // CRIU takes the name away with the entry that it is of, so that each has its own.
        remapId: this.#link(behind, path, status),
        remapType: remap_type.LINKED,
      });
      return;
    }
    const inode = `${status.dev}:${status.ino}`;
    let id = this.#ids.get(inode);
    if (id === undefined) {
      id = this.#ids.size + 1;
      this.#ids.set(inode, id);
      this.#write(id, file.fd, status, behind);
    }
    this.#writer.append(REMAP_FPATH, null, {
      origId: fileId,
      remapId: id,
      remapType: remap_type.GHOST,
    });
  }

  #write(
    id: number,
    fd: number,
    status: ReturnType<typeof statusOf>,
    behind: string,
  ): void {
    const { uid, gid, mode, dev, ino, rdev, size, atime, atimeNs, mtime, mtimeNs } = status;
    const type = mode & S_IFMT;
    const time = (sec: bigint, nsec: bigint) => {
      const { sec: tvSec, usec: tvUsec } = splitMicroseconds(sec * 1_000_000_000n + nsec);
      return { tvSec, tvUsec };
    };
    const common = {
      uid,
      gid,
      mode,
      dev: encodeKernelDevice(decodeUserDevice(Number(dev))),
      ino,
      rdev: type === S_IFCHR || type === S_IFBLK ? Number(BigInt.asUintN(32, rdev)) : undefined,
      atim: time(atime, atimeNs),
      mtim: time(mtime, mtimeNs),
    };
    if (type === S_IFREG) {
      const message = { ...common, chunks: true, size };
      this.#writer.writePieces(GHOST_FILE, id, message, readChunks(behind, size));
    } else {
      const symlnkTarget = type === S_IFLNK ? readTarget(fd, behind) : undefined;
      this.#writer.write(GHOST_FILE, id, { ...common, symlnkTarget });
    }
  }
}

/** What tells a deleted file from others that had the same name. @param behind a path below /proc that leads to it */
export function inodeBehind(behind: string): string {
  using file = open(behind, O.PATH);
  const { dev, ino } = statusOf(file.fd, behind);
  return `${dev}:${ino}`;
}

function open(path: string, flags: number): OwnedDescriptor {
  const result = syscall(SYSCALLS.openat, AT_FDCWD, cString(path), flags | O.CLOEXEC, 0);
  if (!isErrno(result)) return new OwnedDescriptor(Number(result));
  throw failed("open", path, result);
}

function statusOf(fd: number, path: string) {
  const bytes = new Uint8Array(FileStatus.size);
  const result = syscall(SYSCALLS.fstat, fd, bytes);
  if (isErrno(result)) throw failed("look at", path, result);
  return FileStatus.read(bytes);
}

/** The target of a symbolic link that is open with O_PATH. */
function readTarget(fd: number, path: string): string {
  const bytes = new Uint8Array(PATH_MAX);
  const length = syscall(SYSCALLS.readlinkat, fd, cString(""), bytes, PATH_MAX);
  if (isErrno(length)) throw failed("read", path, length);
  return decodeBytes(bytes.subarray(0, Number(length)));
}

/** All that is no hole, as it follows the message of the image. */
function* readChunks(path: string, size: bigint): Generator<Uint8Array> {
  using file = openForReading(path);
  const pageSize = hugePageSize(path);
  if (pageSize !== undefined) return yield* readHugePages(file.fd, path, size, BigInt(pageSize));
  for (let at = 0n; at < size;) {
    const offset = syscall(SYSCALLS.lseek, file.fd, at, SEEK_DATA);
    if (offset === -BigInt(errnoNumber("ENXIO"))) break;
    const end = isErrno(offset) ? offset : syscall(SYSCALLS.lseek, file.fd, offset, SEEK_HOLE);
    if (isErrno(end)) throw failed("search for holes in", path, end);
    yield* readChunk(file.fd, path, offset, end);
    at = end;
  }
}

/** The same of a file of hugetlbfs, which tells of no holes: whole pages, without those that are all zeros. */
function* readHugePages(
  fd: number,
  path: string,
  size: bigint,
  pageSize: bigint,
): Generator<Uint8Array> {
  let start = 0n;
  for (let at = 0n; at < size; at += pageSize) {
    if (!isZero(fd, path, at, at + pageSize)) continue;
    if (start < at) yield* readChunk(fd, path, start, at);
    start = at + pageSize;
  }
  if (start < size) yield* readChunk(fd, path, start, size);
}

/** Whether a stretch of a file is all zeros. */
function isZero(fd: number, path: string, start: bigint, end: bigint): boolean {
  for (const piece of readPieces(fd, path, start, end)) {
    // Pages are of whole words.
    if (new BigUint64Array(piece.buffer).some((word) => word !== 0n)) return false;
  }
  return true;
}

function* readChunk(fd: number, path: string, start: bigint, end: bigint): Generator<Uint8Array> {
  yield encodeGhostChunkHead(start, end - start);
  yield* readPieces(fd, path, start, end);
}

function* readPieces(
  fd: number,
  path: string,
  start: bigint,
  end: bigint,
): Generator<Uint8Array<ArrayBuffer>> {
  for (let from = start; from < end; from += PIECE) {
    const length = end - from < PIECE ? end - from : PIECE;
    yield readAll(fd, path, from, Number(length));
  }
}

/** A look at a file is no access by the program: its time of access stays, where the file is ours or we are root. */
function openForReading(path: string): OwnedDescriptor {
  try {
    return open(path, O.RDONLY | O.NOATIME);
  } catch (error) {
    if (error instanceof StasisError && error.errno === "EPERM") return open(path, O.RDONLY);
    throw error;
  }
}

function readAll(
  fd: number,
  path: string,
  offset: bigint,
  size: number,
): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(size);
  for (let done = 0; done < size;) {
    const count = pread(fd, data.subarray(done), offset + BigInt(done));
    if (count < 0) throw failed("read", path, BigInt(count));
    if (count === 0) throw new StasisError("io", `${path} became shorter while it was saved`);
    done += count;
  }
  return data;
}

function failed(what: string, path: string, result: bigint): StasisError {
  const errno = errnoName(-result);
  return new StasisError("io", `could not ${what} the deleted file ${path}: ${errno}`, { errno });
}
