/**
 * Looking at a descriptor of this process that is to stand in for something.
 *
 * @module
 */
import { O, statusFlags } from "../../core/linux/fcntl.ts";
import { syscall } from "../../core/linux/libc_ffi.ts";
import { must } from "../../core/linux/must.ts";
import { readFdLink } from "../../core/linux/procfs/mod.ts";
import { SYSCALLS } from "../../core/linux/x86_64/syscalls.ts";

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const S_IFIFO = 0o010000;

/** A descriptor of this process. */
export interface OwnFile {
  readonly fd: number;
  /** Its status flags. */
  readonly flags: number;
  readonly isPipe: boolean;
  /**
   * Whether opening it through /proc/self/fd gives another open file of the same thing without loss: so it
   * is for pipes and devices; a regular file would start at its beginning, and sockets cannot be opened.
   */
  readonly opensAgain: boolean;
}

/** Looks at a descriptor. @returns undefined if it is not open */
export function lookAtOwn(fd: number): OwnFile | undefined {
  let mode: number;
  try {
    mode = Deno.statSync(`/proc/self/fd/${fd}`).mode ?? 0;
  } catch {
    return undefined;
  }
  const type = mode & S_IFMT;
  const isPipe = type === S_IFIFO;
  return { fd, flags: statusFlags(fd), isPipe, opensAgain: isPipe || type === S_IFCHR };
}

const SEEK_SET = 0, SEEK_CUR = 1;

/** How long the files were that this process was given as its standard streams, before it wrote to them itself. */
export class OwnLengths {
  static #atStart: OwnLengths | undefined;
  readonly #lengths = new Map<number, { readonly path: string; readonly length: bigint }>();

  private constructor() {
    for (const fd of [0, 1, 2]) {
      const path = readFdLink(Deno.pid, fd)?.text;
      if (path === undefined || (statusFlags(fd) & O.ACCMODE) === O.RDONLY) continue;
      const { isFile, size } = Deno.statSync(`/proc/self/fd/${fd}`);
      if (isFile) this.#lengths.set(fd, { path, length: BigInt(size) });
    }
  }

  /** As they were when this was asked for the first time. */
  static atStart(): OwnLengths {
    return this.#atStart ??= new OwnLengths();
  }

  /** The length of a standard stream. @param path what it has to be called @returns undefined where it is another one */
  lengthOf({ fd }: OwnFile, path: string): bigint | undefined {
    const known = this.#lengths.get(fd);
    return known?.path === path ? known.length : undefined;
  }
}

/** Cuts the file behind a descriptor off, and does not leave its position behind the end. @throws {StasisError} `syscall` */
export function cutBack({ fd }: OwnFile, length: bigint): void {
  must(syscall(SYSCALLS.ftruncate, fd, length), `cut descriptor ${fd} back`);
  if (syscall(SYSCALLS.lseek, fd, 0, SEEK_CUR) > length) {
    syscall(SYSCALLS.lseek, fd, length, SEEK_SET);
  }
}
