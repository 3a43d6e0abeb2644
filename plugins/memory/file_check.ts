/**
 * Whether a mapped file can be opened again by its path, or saved itself.
 *
 * @module
 */
import type { Task } from "../../core/checkpoint/task.ts";
import { findFile, pathTooLong } from "../../core/checkpoint/file_location.ts";
import type { Problem } from "../../base/errors.ts";
import { buildIdNumbers, readBuildId } from "../../core/linux/build_id.ts";
import { type FileInfo, modifiedAt, readLink, statPath } from "../../core/linux/files.ts";
import { readLongLink } from "../../core/linux/long_link.ts";
import { errnoOf, type Vma } from "../../core/linux/procfs/mod.ts";
import { type FileContents, fileValidationOf, type OperationOptions } from "../../core/plugin.ts";

/** What a mapped file is. */
export interface MappedFile {
  /** Its path at restore. */
  readonly path: string;
  /** Of a deleted file that is saved itself: where `/proc` leads to it. */
  readonly behind?: string;
  /** In bytes; absent for what has none. */
  readonly size?: bigint;
  /** `st_mode`. */
  readonly mode: number;
  /** A character device other than /dev/zero, or anything else that is no regular file. */
  readonly isDevice: boolean;
  /** Why it cannot be saved. */
  readonly problem?: Omit<Problem, "plugin" | "pid">;
}

const S_IFMT = 0o170000, S_IFREG = 0o100000, S_IFCHR = 0o020000;
/** Of /dev/zero: 1:5. */
const DEV_ZERO = 0x105;

/** Looks at mapped files; each once, until {@link MappedFiles.forget}. */
export class MappedFiles {
  readonly #known = new Map<string, MappedFile>();
  readonly #told = new Set<string>();
  /** By inode and path. Whatever the target does, a file that is another one later has another inode. */
  readonly #contents = new Map<string, FileContents>();
  readonly #options: OperationOptions;

  constructor(options: OperationOptions) {
    this.#options = options;
  }

  /** Forgets everything: the target has run since. */
  forget(): void {
    this.#known.clear();
    this.#told.clear();
  }

  /** Why the file of a mapping cannot be saved: once for each file of a task, however often it is mapped. */
  problemOf(vma: Vma, task: Task): MappedFile["problem"] {
    const { problem } = this.of(vma, task);
    if (problem === undefined) return undefined;
    const key = `${task.pid} ${problem.what}`;
    if (this.#told.has(key)) return undefined;
    this.#told.add(key);
    return problem;
  }

  /**
   * Reads what tells the contents of a mapped file from others: before the tree stands still, since it takes a while.
   * Data that is mapped changes as data does; what is executed does not.
   */
  identify(vma: Vma, task: Task): void {
    const { path, behind, mode, problem } = this.of(vma, task);
    const validation = fileValidationOf(this.#options);
    const key = `${vma.inode} ${path}`;
    if (
      behind !== undefined || problem !== undefined || (mode & S_IFMT) !== S_IFREG ||
      this.#contents.has(key) || validation === "size" || validation === "none"
    ) return;
    if (validation === "buildid" && (!vma.flags.has("ex") || vma.shared)) return;
    this.#contents.set(key, contentsOf(path, validation === "mtime"));
  }

  /** What was read of a file. */
  contentsAt(path: string, inode: bigint): FileContents | undefined {
    return this.#contents.get(`${inode} ${path}`);
  }

  /** Looks at the file of a mapping. */
  of(vma: Vma, task: Task): MappedFile {
    const { dev, inode, name, deleted } = vma;
    const key = `${dev.major}:${dev.minor}:${inode}:${deleted ? 1 : 0}:${name}`;
    let file = this.#known.get(key);
    if (file === undefined) this.#known.set(key, file = look(vma, task, this.#options));
    return file;
  }
}

/** @param timed whether the time is wanted whatever the build id tells */
function contentsOf(path: string, timed: boolean): FileContents {
  const found = readBuildId(path);
  const buildId = found && buildIdNumbers(found);
  if (buildId !== undefined && !timed) return { buildId };
  try {
    return { buildId, mtime: modifiedAt(path) };
  } catch {
    // It has just been deleted, which is found out when it is saved.
    return { buildId };
  }
}

/** Where `/proc` leads to the file behind a mapping, whatever became of its path. @param tid a thread that lives */
export function mapFilesPath(tid: number, vma: Pick<Vma, "start" | "end">): string {
  return `/proc/${tid}/map_files/${vma.start.toString(16)}-${vma.end.toString(16)}`;
}

function look(vma: Vma, task: Task, options: OperationOptions): MappedFile {
  const { name, deleted } = vma;
  // A newline may be one, or the four characters of its escape: the link tells, in which nothing is escaped.
  if (deleted || name.includes("\n")) return lookBehind(vma, task, options);
  let info: FileInfo;
  try {
    info = statPath(name);
  } catch (error) {
    const problem = {
      what: `it has ${name} mapped, which cannot be found from here (${
        errnoOf(error) ?? String(error)
      })`,
      hint: "run in the mount namespace of the process",
    };
    return { path: name, mode: 0, isDevice: false, problem };
  }
  if (!isSame(info, vma, task)) {
    return {
      path: name,
      mode: info.mode,
      isDevice: false,
      problem: {
        what: `it has a file mapped that was ${name}; another one has that path now`,
        hint: "restart the program if the file was replaced by an update",
      },
    };
  }
  return { path: name, ...describe(info) };
}

/** Looks at what was deleted, or has a name that looks as if it were, or that the list of mappings blurs. */
function lookBehind(vma: Vma, task: Task, options: OperationOptions): MappedFile {
  const { name } = vma;
  const behind = mapFilesPath(task.liveTid, vma);
  try {
    const text = linkBehind(behind);
    if (text === undefined) {
      const problem = pathTooLong("a file that it has mapped");
      return { path: name, mode: 0, isDevice: false, problem };
    }
    const found = findFile(behind, text, "a file that it has mapped", options);
    if ("problem" in found) {
      return { path: name, mode: 0, isDevice: false, problem: found.problem };
    }
    const { size, ...rest } = describe(statPath(behind));
    return found.behind === undefined ? { ...found, ...rest, size } : { ...found, ...rest };
  } catch (error) {
    const problem = {
      what: `it has a file mapped, ${JSON.stringify(name)}, which cannot be looked at (${
        errnoOf(error) ?? String(error)
      })`,
      hint: "run as root, or with CAP_CHECKPOINT_RESTORE",
    };
    return { path: name, mode: 0, isDevice: false, problem };
  }
}

/** @returns undefined where its path is longer than the kernel tells, and not to be found */
function linkBehind(behind: string): string | undefined {
  try {
    return readLink(behind);
  } catch (error) {
    if (errnoOf(error) !== "ENAMETOOLONG") throw error;
    return readLongLink(behind);
  }
}

function describe(info: FileInfo): Pick<MappedFile, "mode" | "isDevice" | "size"> {
  const { mode } = info;
  const type = mode & S_IFMT;
  const isZero = type === S_IFCHR && info.rdev === DEV_ZERO;
  const isDevice = type !== S_IFREG && !isZero;
  return { mode, isDevice, size: type === S_IFREG ? BigInt(info.size) : undefined };
}

function isSame(info: FileInfo, vma: Vma, task: Task): boolean {
  const sameInode = BigInt(info.ino) === vma.inode;
  if (sameInode && major(info.dev) === vma.dev.major && minor(info.dev) === vma.dev.minor) {
    return true;
  }
  // Some file systems (overlayfs, btrfs) show one device in maps and another one in stat.
  try {
    const mapped = statPath(mapFilesPath(task.liveTid, vma));
    return mapped.dev === info.dev && mapped.ino === info.ino;
  } catch {
    return sameInode && !vma.deleted;
  }
}

/** As glibc's gnu_dev_major(). */
function major(dev: number): number {
  return Number((BigInt(dev) >> 8n & 0xfffn) | (BigInt(dev) >> 32n & ~0xfffn));
}

/** As glibc's gnu_dev_minor(). */
function minor(dev: number): number {
  return Number((BigInt(dev) & 0xffn) | (BigInt(dev) >> 12n & 0xffffff00n));
}
