/**
 * A deleted file itself: what its image has of it, and the calls that make it, fill it and give it its properties.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { FileSource, partOf } from "../../images/byte_source.ts";
import { type ghost_file_entry, ghost_file_entrySchema } from "../../images/gen/ghost_pb.ts";
import { locateGhostChunks } from "../../images/ghost_chunks.ts";
import { GHOST_FILE } from "../../images/kinds/files.ts";
import type { ImageDirectory, LocatedEntry } from "../../images/mod.ts";
import { joinMicroseconds } from "../../images/time.ts";
import { StasisError } from "../../base/errors.ts";
import { existingParent, hugePageSize } from "../checkpoint/file_location.ts";
import { AT_FDCWD, O } from "../linux/fcntl.ts";
import { MAP, PROT } from "../linux/mman.ts";
import { defineStruct } from "../linux/struct.ts";
import type { TreePlanner } from "../plugin.ts";
import type { Argument, CallResult, SyscallProgram } from "../remote/program.ts";
import { explainNoPages } from "./no_huge_pages.ts";

const AT_SYMLINK_NOFOLLOW = 0x100;
const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFDIR = 0o040000, S_IFLNK = 0o120000;
/** At most so much by one sendfile(2), which moves less than 2 GiB. */
const STEP = 1n << 30n;

/** Two of `struct timespec`: times of access and of modification. */
const Times = defineStruct("timespec[2]", 32, {
  access: [0, "i64"],
  accessNs: [8, "i64"],
  change: [16, "i64"],
  changeNs: [24, "i64"],
});

/** A stretch of contents: where in the file, and where in the image. */
interface Stretch {
  readonly offset: bigint;
  readonly source: bigint;
  readonly size: bigint;
}

/** What an image has of a deleted file. */
export interface GhostContents {
  /** The path of the image. */
  readonly image: string;
  readonly file: ghost_file_entry;
  readonly stretches: readonly Stretch[];
}

/** Reads a ghost and finds out where its contents lie in its image. @throws {StasisError} `bad-image` */
export function readGhost(images: ImageDirectory, id: number): GhostContents {
  const image = images.pathOf(GHOST_FILE, id);
  const [ghost] = images.locate(GHOST_FILE, id);
  const { message: file, offset: begin, size } = ghost as LocatedEntry<typeof GHOST_FILE.schema>;
  if (size === 0) return { image, file, stretches: [] };
  using source = new FileSource(image);
  const chunks = file.chunks
    ? locateGhostChunks(partOf(source, begin, size))
    : [{ offset: 0n, at: 0, size }];
  if (chunks === undefined) {
    throw new StasisError("bad-image", `the contents in ${image} are damaged`);
  }
  const stretches = chunks.map(({ offset, at, size }) => ({
    offset,
    source: BigInt(begin + at),
    size: BigInt(size),
  }));
  return { image, file, stretches };
}

/** A file of root's, of which nothing is known but what it is. @param mode its type; a regular file if that says none */
export function emptyFile(path: string, mode: number): GhostContents {
  const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
  return {
    image: path,
    file: create(ghost_file_entrySchema, { uid: 0, gid: 0, mode: type | mode & 0o777 }),
    stretches: [],
  };
}

/** Adds the call that makes the file. @returns the call; of a regular file its result is a descriptor to write to */
export function planMake(
  program: SyscallProgram,
  path: string,
  { mode, rdev, symlnkTarget }: ghost_file_entry,
): CallResult {
  switch (mode & S_IFMT) {
    case S_IFREG: {
      const flags = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW;
      return program.call("openat", AT_FDCWD, path, flags, 0o600);
    }
    case S_IFDIR:
      return program.call("mkdirat", AT_FDCWD, path, 0o700);
    case S_IFLNK:
      return program.call("symlinkat", symlnkTarget, AT_FDCWD, path);
    default:
      return program.call("mknodat", AT_FDCWD, path, mode & S_IFMT | 0o600, rdev);
  }
}

/** Adds calls that set owner, mode and times, by descriptor or by path. A change of owner takes set-user-id bits. */
export function planProperties(
  seed: SyscallProgram,
  at: Argument,
  path: string | undefined,
  { uid, gid, mode, atim, mtim }: ghost_file_entry,
): void {
  const permissions = mode & 0o7777;
  if (path === undefined) {
    seed.call("fchown", at, uid, gid);
    seed.call("fchmod", at, permissions);
  } else {
    seed.call("fchownat", at, path, uid, gid, AT_SYMLINK_NOFOLLOW);
    // Symbolic links have no mode of their own.
    if ((mode & S_IFMT) !== S_IFLNK) seed.call("fchmodat", at, path, permissions);
  }
  if (atim === undefined || mtim === undefined) return;
  const access = joinMicroseconds(atim.tvSec, atim.tvUsec);
  const change = joinMicroseconds(mtim.tvSec, mtim.tvUsec);
  const SECOND = 1_000_000_000n;
  const times = Times.make({
    access: access / SECOND,
    accessNs: access % SECOND,
    change: change / SECOND,
    changeNs: change % SECOND,
  });
  const flags = path === undefined ? 0 : AT_SYMLINK_NOFOLLOW;
  seed.call("utimensat", at, path ?? 0, seed.data(times, "times"), flags);
}

/**
 * Adds the calls that fill a file.
 *
 * @param fd a descriptor of the seed to write to
 * @param path a name that the file has or had: on hugetlbfs there is no writing
 */
export function planContents(
  tree: TreePlanner,
  fd: number,
  { image, file, stretches }: GhostContents,
  path: string,
): void {
  const { seed } = tree;
  const last = stretches.at(-1);
  const size = file.size || (last === undefined ? 0n : last.offset + last.size);
  if (size > 0n) seed.call("ftruncate", fd, size);
  if (last === undefined) return;
  const source = tree.serviceFile(image, O.RDONLY);
  if (hugePageSize(existingParent(path)) !== undefined) {
    return planHugePages(seed, fd, source, stretches);
  }
  for (const { offset, source: from, size } of stretches) {
    seed.call("lseek", fd, offset, 0);
    for (let done = 0n; done < size;) {
      const part = size - done < STEP ? size - done : STEP;
      const position = seed.data(word(from + done), "offset");
      seed.expect(part, "sendfile", fd, source, position, part);
      done += part;
    }
  }
}

/** Adds calls that fill a file of hugetlbfs, which can only be written to where it is mapped. */
function planHugePages(
  seed: SyscallProgram,
  fd: number,
  source: number,
  stretches: readonly Stretch[],
): void {
  // It may be open for reading alone, or for writing alone.
  const file = seed.call("openat", AT_FDCWD, `/proc/self/fd/${fd}`, O.RDWR | O.CLOEXEC, 0);
  for (const { offset, source: from, size } of stretches) {
    for (let done = 0n; done < size; done += STEP) {
      const part = size - done < STEP ? size - done : STEP;
      const flags = PROT.READ | PROT.WRITE;
      const where = [file, offset + done] as const;
      const memory = seed.explained(explainNoPages, "mmap", 0, part, flags, MAP.SHARED, ...where);
      seed.expect(part, "pread64", source, memory, part, from + done);
      seed.call("munmap", memory, part);
    }
  }
  seed.call("close", file);
}

function word(value: bigint): Uint8Array {
  return new Uint8Array(BigInt64Array.of(value).buffer);
}
