/**
 * `/proc/PID/smaps`: the mappings of a process with their flags and sizes. Source: proc_pid_smaps(5);
 * kernel fs/proc/task_mmu.c, show_smap() and show_smap_vma_flags().
 *
 * @module
 */

import { malformed, readTaskBytes } from "./read.ts";
import { type Mapping, VmaLineParser } from "./vma_line.ts";

/** The two-letter codes of `VmFlags` (fs/proc/task_mmu.c, show_smap_vma_flags()). */
export const VM_FLAGS = {
  rd: "VM_READ: readable",
  wr: "VM_WRITE: writable",
  ex: "VM_EXEC: executable",
  sh: "VM_SHARED: shared and written to its file",
  mr: "VM_MAYREAD: mprotect may make it readable",
  mw: "VM_MAYWRITE: mprotect may make it writable",
  me: "VM_MAYEXEC: mprotect may make it executable",
  ms: "VM_MAYSHARE: made with MAP_SHARED",
  gd: "VM_GROWSDOWN: a stack that grows down",
  pf: "VM_PFNMAP: raw page frames, without struct page",
  lo: "VM_LOCKED: mlock",
  io: "VM_IO: memory of a device",
  sr: "VM_SEQ_READ: MADV_SEQUENTIAL",
  rr: "VM_RAND_READ: MADV_RANDOM",
  dc: "VM_DONTCOPY: MADV_DONTFORK",
  de: "VM_DONTEXPAND: mremap may not expand it",
  lf: "VM_LOCKONFAULT: mlock2(MLOCK_ONFAULT)",
  ac: "VM_ACCOUNT: counts as committed memory",
  nr: "VM_NORESERVE: MAP_NORESERVE",
  ht: "VM_HUGETLB: huge pages of hugetlbfs",
  sf: "VM_SYNC: MAP_SYNC",
  ar: "VM_ARCH_1: of the architecture",
  wf: "VM_WIPEONFORK: MADV_WIPEONFORK",
  dd: "VM_DONTDUMP: MADV_DONTDUMP",
  sd: "VM_SOFTDIRTY: mapped since the soft-dirty bits were cleared",
  mm: "VM_MIXEDMAP: page frames and pages",
  hg: "VM_HUGEPAGE: MADV_HUGEPAGE",
  nh: "VM_NOHUGEPAGE: MADV_NOHUGEPAGE",
  mg: "VM_MERGEABLE: MADV_MERGEABLE",
  um: "VM_UFFD_MISSING: userfaultfd, missing pages",
  uw: "VM_UFFD_WP: userfaultfd, write protection",
  ui: "VM_UFFD_MINOR: userfaultfd, minor faults",
  ss: "VM_SHADOW_STACK: a shadow stack",
  dp: "VM_DROPPABLE: MAP_DROPPABLE",
  sl: "VM_SEALED: mseal",
  gu: "VM_MAYBE_GUARD: has had guard regions (6.19 and later)",
  mp: "VM_MPX (kernels before 5.6)",
  nl: "VM_NONLINEAR (kernels before 4.0)",
  bt: "VM_ARM64_BTI",
  mt: "VM_MTE",
  "??": "a flag that the kernel has no code for",
} as const;

/** A code of {@link VM_FLAGS}. Kernels to come may have others: a set of flags is a set of strings. */
export type VmFlag = keyof typeof VM_FLAGS;

/** One mapping with its flags. Sizes are in bytes. */
export interface Vma extends Mapping {
  /** The codes of {@link VM_FLAGS}; equal sets are the same object. */
  readonly flags: ReadonlySet<VmFlag | string>;
  /** The page size that the kernel uses for it: 4096, more with hugetlbfs. */
  readonly kernelPageSize: number;
  /** Resident pages, shared ones counted in full. */
  readonly rss: number;
  /** Pages that are no file's: private ones that were written to. */
  readonly anonymous: number;
  /** Anonymous memory in transparent huge pages. */
  readonly anonHugePages: number;
  /** Swapped out. */
  readonly swap: number;
  /** Resident and locked. */
  readonly locked: number;
  /** The protection key (pkey_alloc); undefined where CPU or kernel has none. */
  readonly protectionKey?: number;
}

/**
 * Parses a `smaps` file; ascending addresses, the `[vsyscall]` page last. 14 MB with 20,000 mappings take
 * 20 to 60 ms: each line of sizes is 28 bytes long, so it is stepped over without a search.
 */
export function parseSmaps(bytes: Uint8Array): readonly Vma[] {
  const parser = new VmaLineParser(bytes, "smaps");
  const flags = new FlagSets();
  const vmas: Vma[] = [];
  while (!parser.done) vmas.push(parseBlock(bytes, parser, flags));
  return vmas;
}

const NEWLINE = 0x0a;
/** `Label:` padded to 16 columns, a number of 8, ` kB` and the newline (SEQ_PUT_DEC in the kernel). */
const SIZE_LINE = 28;

function parseBlock(bytes: Uint8Array, parser: VmaLineParser, flagSets: FlagSets): Vma {
  const mapping = parser.parse();
  let kernelPageSize = 0, rss = 0, anonymous = 0, anonHugePages = 0, swap = 0, locked = 0;
  let protectionKey: number | undefined;
  let at = parser.position;
  // Labels are told apart by as few letters as they differ in; `VmFlags` is the last of each block.
  for (;;) {
    const first = bytes[at];
    const last = endOfLine(bytes, at);
    if (first === 0x56) break; // VmFlags
    if (first === 0x52 && bytes[at + 1] === 0x73) { // Rss, not Referenced
      rss = kilobytes(bytes, at, last);
    } else if (first === 0x41) { // Anonymous or AnonHugePages
      if (bytes[at + 4] === 0x48) anonHugePages = kilobytes(bytes, at, last);
      else anonymous = kilobytes(bytes, at, last);
    } else if (first === 0x4b && bytes[at + 1] === 0x65) { // KernelPageSize, not KSM
      kernelPageSize = kilobytes(bytes, at, last);
    } else if (first === 0x53 && bytes[at + 4] === 0x3a && bytes[at + 1] === 0x77) { // Swap
      swap = kilobytes(bytes, at, last);
    } else if (first === 0x4c && bytes[at + 1] === 0x6f) { // Locked, not LazyFree
      locked = kilobytes(bytes, at, last);
    } else if (first === 0x50 && bytes[at + 3] === 0x74) { // ProtectionKey, not Pss or Private
      protectionKey = decimal(bytes, at, last);
    } else if (first === undefined) {
      throw malformed("smaps", "a mapping without a VmFlags line");
    }
    at = last + 1;
  }
  const end = endOfLine(bytes, at);
  parser.position = end + 1;
  return {
    start: mapping.start,
    end: mapping.end,
    prot: mapping.prot,
    shared: mapping.shared,
    offset: mapping.offset,
    dev: mapping.dev,
    inode: mapping.inode,
    name: mapping.name,
    deleted: mapping.deleted,
    flags: flagSets.parse(bytes, at + 9, end),
    kernelPageSize,
    rss,
    anonymous,
    anonHugePages,
    swap,
    locked,
    protectionKey,
  };
}

function endOfLine(bytes: Uint8Array, at: number): number {
  const guess = at + SIZE_LINE - 1;
  // A newline behind ` kB` at that place is the first one: no shorter line has ` kB` there.
  if (bytes[guess] === NEWLINE && bytes[guess - 1] === 0x42 && bytes[guess - 3] === 0x20) {
    return guess;
  }
  const end = bytes.indexOf(NEWLINE, at);
  return end < 0 ? bytes.length : end;
}

function decimal(bytes: Uint8Array, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit >= 0 && digit <= 9) value = value * 10 + digit;
  }
  return value;
}

function kilobytes(bytes: Uint8Array, from: number, to: number): number {
  return decimal(bytes, from + 4, to) * 1024;
}

/** Parses `VmFlags` lines and gives the same set for the same codes: a process has a dozen of them. */
class FlagSets {
  /** Each code that was met has a bit of its own, as a power of two in a number (52 of them fit). */
  readonly #bits = new Map<number, number>();
  readonly #sets = new Map<number, ReadonlySet<string>>();

  /** @param from The first code; each is two letters and a blank. */
  parse(bytes: Uint8Array, from: number, to: number): ReadonlySet<string> {
    let mask = 0;
    for (let at = from; at + 1 < to; at += 3) {
      const code = bytes[at]! << 8 | bytes[at + 1]!;
      let bit = this.#bits.get(code);
      if (bit === undefined) this.#bits.set(code, bit = 2 ** this.#bits.size);
      mask += bit;
    }
    let set = this.#sets.get(mask);
    if (set === undefined) {
      const text = new TextDecoder().decode(bytes.subarray(from, to));
      this.#sets.set(mask, set = new Set(text.split(" ").filter(Boolean)));
    }
    return set;
  }
}

/**
 * Reads the mappings of a process with their flags; none for a zombie or a kernel thread. While it runs,
 * the list is a mixture of moments: the kernel hands it out in pieces.
 *
 * @throws StasisError `no-such-task`, `no-privilege`; `kernel-too-old` without CONFIG_PROC_PAGE_MONITOR.
 */
export function readSmaps(pid: number): readonly Vma[] {
  return parseSmaps(readTaskBytes(pid, "smaps"));
}
