/**
 * The line that `/proc/PID/maps` and each block of `/proc/PID/smaps` have in common:
 * `start-end rwxp offset major:minor inode   name`. Source: proc_pid_maps(5); kernel fs/proc/task_mmu.c,
 * show_map_vma() and get_vma_name().
 *
 * It works on bytes: a process may have tens of thousands of mappings, and a block of `smaps` 700 bytes.
 *
 * @module
 */

import { decodeBytes } from "../../../base/byte_text.ts";
import { type RemoteAddress, remoteAddress } from "../address.ts";
import { unescapeOctal } from "./escape.ts";
import { malformed } from "./read.ts";

/** PROT_* of include/uapi/asm-generic/mman-common.h, the bits of {@link Mapping.prot}. */
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

/** The device of a file's inode as user space sees it; 0:0 for what has none. */
export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

/** One mapping of a task. */
export interface Mapping {
  readonly start: RemoteAddress;
  /** The first address behind it. */
  readonly end: RemoteAddress;
  /** A mask of {@link PROT_READ}, {@link PROT_WRITE} and {@link PROT_EXEC}. */
  readonly prot: number;
  /** Made with MAP_SHARED (more exactly: VM_MAYSHARE). */
  readonly shared: boolean;
  /** Where in the file it begins, in bytes; 0 without a file. */
  readonly offset: bigint;
  readonly dev: DeviceNumber;
  /** The inode's number; 0 without a file. */
  readonly inode: bigint;
  /**
   * The file's path from the reader's root, or a name of the kernel's (see {@link mappingKind}); empty
   * for anonymous memory. A newline in a path comes as `\012` and is undone; as a backslash is *not*
   * escaped here, a file whose name has these four characters reads the same.
   */
  readonly name: string;
  /**
   * The name had ` (deleted)` behind it, which is cut off: the file has no name any more (or it never
   * had one, or its name really ends so: compare device and inode with what the path leads to).
   */
  readonly deleted: boolean;
}

/** What a mapping's name says that it is. */
export type MappingKind =
  /** No name: private anonymous memory. */
  | "anonymous"
  /** `[heap]`: within the brk area. */
  | "heap"
  /** `[stack]`: the one of the main thread. */
  | "stack"
  /** `[vdso]`, `[vvar]`, `[vvar_vclock]`, `[uprobes]`, `[sigpage]`: of the kernel, per task. */
  | "vdso"
  | "vvar"
  | "vvar_vclock"
  | "kernel"
  /** `[vsyscall]`: the gate page, the same in every task, no mapping of the task's own. */
  | "vsyscall"
  /** `[anon:NAME]`, `[anon_shmem:NAME]`: named by prctl(PR_SET_VMA_ANON_NAME). */
  | "named-anonymous"
  | "named-shared-anonymous"
  /** `/dev/zero (deleted)`: shared anonymous memory. */
  | "shared-anonymous"
  /** `/memfd:NAME (deleted)`. */
  | "memfd"
  /** `/SYSVkey (deleted)`: System V shared memory; the inode is its id. */
  | "sysv-shm"
  /** `/anon_hugepage (deleted)`: MAP_HUGETLB without a file. */
  | "anonymous-hugetlb"
  /** `anon_inode:...`: memory of a descriptor that is no file (io_uring, perf, KVM). */
  | "anon-inode"
  /** A file with a path; that of a socket or another object without one starts with no slash. */
  | "file";

const BRACKETED: Readonly<Record<string, MappingKind>> = {
  "[heap]": "heap",
  "[stack]": "stack",
  "[vdso]": "vdso",
  "[vvar]": "vvar",
  "[vvar_vclock]": "vvar_vclock",
  "[vsyscall]": "vsyscall",
};

/**
 * Classifies a mapping by its name (kernel: get_vma_name(), shmem_zero_setup(), hugetlb_file_setup(),
 * ipc/shm.c newseg()). `[heap]` is given to mappings that merely touch the brk area, and a file may be
 * called `/dev/zero`: then it is not deleted.
 */
export function mappingKind(mapping: Pick<Mapping, "name" | "deleted">): MappingKind {
  const { name, deleted } = mapping;
  if (name === "") return "anonymous";
  if (name.startsWith("[")) {
    if (name.startsWith("[anon:")) return "named-anonymous";
    if (name.startsWith("[anon_shmem:")) return "named-shared-anonymous";
    return BRACKETED[name] ?? "kernel";
  }
  if (name.startsWith("anon_inode:")) return "anon-inode";
  if (deleted) {
    if (name === "/dev/zero") return "shared-anonymous";
    if (name.startsWith("/memfd:")) return "memfd";
    if (/^\/SYSV[0-9a-f]{8}$/.test(name)) return "sysv-shm";
    if (name === "/anon_hugepage") return "anonymous-hugetlb";
  }
  return "file";
}

const SPACE = 0x20;
const NEWLINE = 0x0a;
const DELETED = " (deleted)";

/**
 * Parses such lines one after the other, from one buffer or several ({@link begin}). It remembers the last name and device, as
 * neighbours are mostly of one file.
 */
export class VmaLineParser {
  /** Where the next byte to read stands; behind the newline after {@link parse}. */
  position = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  readonly #file: string;
  readonly #decoder = new TextDecoder();
  /** The name that was read last, as it stood there. */
  #nameBytes: Uint8Array = new Uint8Array(0);
  #name = "";
  #deleted = false;
  #dev: DeviceNumber = { major: 0, minor: 0 };

  /** @param file The file's name, for errors. */
  constructor(file: string) {
    this.#file = file;
  }

  /** Goes on with this buffer, which begins with a whole line. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.position = 0;
  }

  /** Is the whole buffer read? */
  get done(): boolean {
    return this.position >= this.#bytes.length;
  }

  /** Parses the line at {@link position}. */
  parse(): Mapping {
    const bytes = this.#bytes;
    const start = remoteAddress(this.#hex(0x2d));
    const end = remoteAddress(this.#hex(SPACE));
    const at = this.position;
    const prot = (bytes[at] === 0x72 ? PROT_READ : 0) |
      (bytes[at + 1] === 0x77 ? PROT_WRITE : 0) |
      (bytes[at + 2] === 0x78 ? PROT_EXEC : 0);
    const shared = bytes[at + 3] === 0x73;
    this.position = at + 5;
    const offset = this.#hex(SPACE);
    const dev = this.#device();
    const inode = this.#decimal();
    this.#readName();
    return {
      start,
      end,
      prot,
      shared,
      offset,
      dev,
      inode,
      name: this.#name,
      deleted: this.#deleted,
    };
  }

  #hexNumber(stop: number): number {
    const bytes = this.#bytes;
    let value = 0;
    for (let at = this.position;; at++) {
      const byte = bytes[at];
      if (byte === undefined) throw malformed(this.#file, "it ends within a line");
      if (byte === stop) {
        this.position = at + 1;
        return value;
      }
      const digit = byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : byte - 0x30;
      if (digit < 0 || digit > 15) throw malformed(this.#file, `no hexadecimal digit at ${at}`);
      value = value * 16 + digit;
    }
  }

  #hex(stop: number): bigint {
    const from = this.position;
    const value = this.#hexNumber(stop);
    if (value === 0) return 0n;
    if (value <= Number.MAX_SAFE_INTEGER) return BigInt(value);
    // Only the vsyscall page is beyond what a number holds exactly.
    return BigInt(`0x${this.#decoder.decode(this.#bytes.subarray(from, this.position - 1))}`);
  }

  #device(): DeviceNumber {
    const major = this.#hexNumber(0x3a);
    const minor = this.#hexNumber(SPACE);
    if (major !== this.#dev.major || minor !== this.#dev.minor) this.#dev = { major, minor };
    return this.#dev;
  }

  #decimal(): bigint {
    const bytes = this.#bytes;
    const from = this.position;
    let value = 0;
    let at = from;
    for (; at < bytes.length && bytes[at] !== SPACE && bytes[at] !== NEWLINE; at++) {
      value = value * 10 + bytes[at]! - 0x30;
    }
    this.position = at;
    if (value === 0) return 0n;
    if (value <= Number.MAX_SAFE_INTEGER) return BigInt(value);
    return BigInt(this.#decoder.decode(bytes.subarray(from, at)));
  }

  /** Reads the rest of the line: blanks up to column 73, then the name, which may have blanks itself. */
  #readName(): void {
    const bytes = this.#bytes;
    let from = this.position;
    while (bytes[from] === SPACE) from++;
    let end = from;
    while (end < bytes.length && bytes[end] !== NEWLINE) end++;
    this.position = end + 1;
    if (end - from === this.#nameBytes.length && this.#isLastName(from)) return;
    const text = unescapeOctal(decodeBytes(bytes.subarray(from, end)), NEWLINE);
    this.#deleted = text.endsWith(DELETED);
    this.#name = this.#deleted ? text.slice(0, -DELETED.length) : text;
    this.#nameBytes = bytes.slice(from, end);
  }

  #isLastName(from: number): boolean {
    const bytes = this.#bytes;
    const last = this.#nameBytes;
    // From the end: paths share their beginnings.
    for (let i = last.length - 1; i >= 0; i--) if (bytes[from + i] !== last[i]) return false;
    return true;
  }
}
