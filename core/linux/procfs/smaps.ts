/**
 * `/proc/PID/smaps`: the mappings of a process with their flags and sizes. Source: proc_pid_smaps(5);
 * kernel fs/proc/task_mmu.c, show_smap() and show_smap_vma_flags().
 *
 * @module
 */

import { malformed, readTaskPieces } from "./read.ts";
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
  /** Resident pages, shared ones counted in full; where they were not counted, as many as there can be. */
  readonly rss: number;
  /** Pages that are no file's: private ones that were written to; the same. */
  readonly anonymous: number;
  /** Swapped out; the same. */
  readonly swap: number;
  /** The protection key (pkey_alloc); undefined where CPU or kernel has none. */
  readonly protectionKey?: number;
}

/** Parses a `smaps` file; ascending addresses, the `[vsyscall]` page last. */
export function parseSmaps(bytes: Uint8Array): readonly Vma[] {
  const parser = new SmapsParser();
  parser.push(bytes);
  return parser.finish();
}

const NEWLINE = 0x0a, LETTER_V = 0x56, LETTER_M = 0x6d;
/** Where a line has its number: behind `Label:` padded to 16 columns, in 8 more or as many as it takes (SEQ_PUT_DEC). */
const NUMBER_AT = 16, NUMBER_END = 24;
/** `VmFlags: `, behind which the codes stand. */
const FLAGS_LABEL = 9;

/** Where in a block the lines begin that are read, from the end of its first line on; -1 where there is none. */
interface Layout {
  rss: number;
  anonymous: number;
  swap: number;
  protectionKey: number;
  /** The last one. */
  flags: number;
}

/**
 * Parses the file piece by piece: 20,000 mappings are 14 MB. Its blocks have the same lines in the same places, which
 * are looked for in the first one.
 */
export class SmapsParser {
  readonly #lines = new VmaLineParser("smaps");
  readonly #vmas: Vma[] = [];
  #layout: Layout | undefined;
  /** The beginning of a block whose end is in the next piece. */
  #rest: Uint8Array<ArrayBuffer> | undefined;

  /** Takes the next piece, which may be overwritten afterwards. */
  push(piece: Uint8Array): void {
    const bytes = this.#rest === undefined ? piece : joined(this.#rest, piece);
    this.#rest = undefined;
    const end = endOfBlocks(bytes);
    const whole = end === bytes.length ? bytes : bytes.subarray(0, end);
    this.#lines.begin(whole);
    while (!this.#lines.done) this.#vmas.push(this.#block(whole));
    if (end < bytes.length) this.#rest = bytes.slice(end);
  }

  /** All mappings, when all pieces have been pushed. */
  finish(): readonly Vma[] {
    if (this.#rest !== undefined) throw malformed("smaps", "a mapping without a VmFlags line");
    return this.#vmas;
  }

  #block(bytes: Uint8Array): Vma {
    const { start, end, prot, shared, offset, dev, inode, name, deleted } = this.#lines.parse();
    const at = this.#lines.position;
    let layout = this.#layout;
    if (layout === undefined || !hasForm(bytes, at, layout)) {
      layout = this.#layout = findLayout(bytes, at);
    }
    const flagsAt = at + layout.flags;
    const last = endOfLine(bytes, flagsAt);
    this.#lines.position = last + 1;
    return {
      start,
      end,
      prot,
      shared,
      offset,
      dev,
      inode,
      name,
      deleted,
      flags: flagSets.parse(bytes, flagsAt + FLAGS_LABEL, last),
      rss: kilobytes(bytes, at, layout.rss),
      anonymous: kilobytes(bytes, at, layout.anonymous),
      swap: kilobytes(bytes, at, layout.swap),
      protectionKey: layout.protectionKey < 0
        ? undefined
        : decimal(bytes, at + layout.protectionKey),
    };
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

/** Where the last whole block ends: behind its line of flags. The kernel's pieces mostly end there themselves. */
function endOfBlocks(bytes: Uint8Array): number {
  for (let end = bytes.lastIndexOf(NEWLINE); end >= 0;) {
    const before = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1);
    if (isFlagsLine(bytes, before + 1)) return end + 1;
    end = before;
  }
  return 0;
}

/** Whether a line is that of flags, which begins as no other does. */
function isFlagsLine(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === LETTER_V && bytes[at + 1] === LETTER_M &&
    (at === 0 || bytes[at - 1] === NEWLINE);
}

/**
 * Whether a block is of a form: a wider number moves all that is behind it, the line of flags, too, unless as much is
 * missing elsewhere.
 */
function hasForm(bytes: Uint8Array, from: number, { rss, swap, flags }: Layout): boolean {
  return isFlagsLine(bytes, from + flags) &&
    (rss < 0 || isRss(bytes, from + rss)) && (swap < 0 || isSwap(bytes, from + swap));
}

/** Whether a line is that of resident pages, and not of referenced ones. */
function isRss(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0x52 && bytes[at + 1] === 0x73;
}

/** Whether a line is that of swapped pages, and neither `SwapPss` nor `Size`. */
function isSwap(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0x53 && bytes[at + 4] === 0x3a && bytes[at + 1] === 0x77;
}

function findLayout(bytes: Uint8Array, from: number): Layout {
  const layout = { rss: -1, anonymous: -1, swap: -1, protectionKey: -1, flags: -1 };
  // Labels are told apart by as few letters as they differ in; `VmFlags` is the last of each block.
  for (let at = from;; at = endOfLine(bytes, at) + 1) {
    const first = bytes[at];
    if (first === undefined) throw malformed("smaps", "a mapping without a VmFlags line");
    if (isFlagsLine(bytes, at)) return { ...layout, flags: at - from };
    if (isRss(bytes, at)) layout.rss = at - from;
    else if (first === 0x41 && bytes[at + 4] === 0x79) layout.anonymous = at - from; // Anonymous, not AnonHugePages
    else if (isSwap(bytes, at)) layout.swap = at - from;
    else if (first === 0x50 && bytes[at + 3] === 0x74) layout.protectionKey = at - from; // not Pss or Private
  }
}

function endOfLine(bytes: Uint8Array, at: number): number {
  const end = bytes.indexOf(NEWLINE, at);
  return end < 0 ? bytes.length : end;
}

/** The number of a line, in its column or, if it is wider, from there on. */
function decimal(bytes: Uint8Array, line: number): number {
  let value = 0;
  for (let at = line + NUMBER_AT;; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit >= 0 && digit <= 9) value = value * 10 + digit;
    else if (at >= line + NUMBER_END) return value;
  }
}

function kilobytes(bytes: Uint8Array, from: number, line: number): number {
  return line < 0 ? 0 : decimal(bytes, from + line) * 1024;
}

/** Lines of flags that were met last are looked at first. */
const RECENT = 16;

/** Parses `VmFlags` lines and gives the same set for the same codes: all processes have the same dozen of them. */
class FlagSets {
  readonly #sets = new Map<string, ReadonlySet<string>>();
  readonly #recent: { readonly bytes: Uint8Array; readonly set: ReadonlySet<string> }[] = [];

  /** @param from The first code; each is two letters and a blank. */
  parse(bytes: Uint8Array, from: number, to: number): ReadonlySet<string> {
    for (const { bytes: known, set } of this.#recent) {
      if (known.length === to - from && isAt(bytes, from, known)) return set;
    }
    const line = bytes.slice(from, to);
    const text = new TextDecoder().decode(line).trimEnd();
    let set = this.#sets.get(text);
    if (set === undefined) this.#sets.set(text, set = new Set(text.split(" ").filter(Boolean)));
    this.#recent.unshift({ bytes: line, set });
    this.#recent.length = Math.min(this.#recent.length, RECENT);
    return set;
  }
}

const flagSets = new FlagSets();

function isAt(bytes: Uint8Array, at: number, known: Uint8Array): boolean {
  // From the end: what differs is mostly there.
  for (let i = known.length - 1; i >= 0; i--) if (bytes[at + i] !== known[i]) return false;
  return true;
}

/**
 * Reads the mappings of a process with their flags; none for a zombie or a kernel thread. While it runs,
 * the list is a mixture of moments: the kernel hands it out in pieces.
 *
 * @throws StasisError `no-such-task`, `no-privilege`; `kernel-too-old` without CONFIG_PROC_PAGE_MONITOR.
 */
export function readSmaps(pid: number): readonly Vma[] {
  let parser = new SmapsParser();
  readTaskPieces(pid, "smaps", () => parser = new SmapsParser(), (piece) => parser.push(piece));
  const vmas = sharedVmas(lastRead, parser.finish());
  lastRead = vmas.length <= MOST_KEPT ? vmas : [];
  return vmas;
}

/** Longer lists are not kept. */
const MOST_KEPT = 1024;

/** The mappings that were read last, of whichever process. */
let lastRead: readonly Vma[] = [];

/**
 * Mappings, with the objects of another process for what is the same there, in the same place of its list: processes that
 * one has forked have nearly all of it, and of thousands of them it is megabytes.
 */
export function sharedVmas(before: readonly Vma[], vmas: readonly Vma[]): readonly Vma[] {
  return vmas.map((vma, index) => {
    const other = before[index];
    return other !== undefined && isSameVma(vma, other) ? other : vma;
  });
}

/** Whether two mappings are the same in everything. */
export function isSameVma(one: Vma, other: Vma): boolean {
  return one.start === other.start && one.end === other.end && one.rss === other.rss &&
    one.anonymous === other.anonymous && one.swap === other.swap && one.flags === other.flags &&
    one.prot === other.prot && one.shared === other.shared && one.offset === other.offset &&
    one.inode === other.inode && one.dev.major === other.dev.major &&
    one.dev.minor === other.dev.minor && one.name === other.name &&
    one.deleted === other.deleted && one.protectionKey === other.protectionKey;
}
