/**
 * What the kernel shows of a mapping, in the terms of `mm-PID.img`. Pure.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { MADV, MAP } from "../../core/linux/mman.ts";
import { VM_FLAGS, type Vma } from "../../core/linux/procfs/mod.ts";
import type { vma_entrySchema } from "../../images/gen/memory_pb.ts";
import type { vma_extraSchema } from "../../images/gen/mm_extra_pb.ts";
import { sizeFlag } from "./huge_pages.ts";

/** A mapping as the image has it. */
export type VmaImage = MessageInitShape<typeof vma_entrySchema>;

/** Codes of `VmFlags` that are flags of mmap(2). */
const MMAP_FLAGS: Readonly<Record<string, number>> = {
  gd: MAP.GROWSDOWN,
  lo: MAP.LOCKED,
  nr: MAP.NORESERVE,
  ht: MAP.HUGETLB,
  dp: MAP.DROPPABLE,
};

/** Codes of `VmFlags` that madvise(2) sets; the image has bit N for advice N. */
const ADVICE: Readonly<Record<string, number>> = {
  sr: MADV.SEQUENTIAL,
  rr: MADV.RANDOM,
  dc: MADV.DONTFORK,
  dd: MADV.DONTDUMP,
  mg: MADV.MERGEABLE,
  hg: MADV.HUGEPAGE,
  nh: MADV.NOHUGEPAGE,
  wf: MADV.WIPEONFORK,
};

/** What a set of flags means. */
interface FlagsMeaning {
  /** Flags of mmap(2). */
  readonly map: number;
  /** Bit N for advice N of madvise(2). */
  readonly advice: bigint;
  readonly unknown: readonly string[];
}

/** Tens of thousands of mappings have a dozen sets of flags. */
const meanings = new WeakMap<Vma["flags"], FlagsMeaning>();

function meaningOf(flags: Vma["flags"]): FlagsMeaning {
  let meaning = meanings.get(flags);
  if (meaning === undefined) {
    let map = 0, advice = 0n;
    for (const code of flags) {
      map |= MMAP_FLAGS[code] ?? 0;
      const number = ADVICE[code];
      if (number !== undefined) advice |= 1n << BigInt(number);
    }
    const unknown = [...flags].filter((code) => !(code in VM_FLAGS) || code === UNNAMED);
    meanings.set(flags, meaning = { map, advice, unknown });
  }
  return meaning;
}

/** The `flags` of a mapping: its MAP_* flags. */
export function mapFlags(vma: Vma, anonymous: boolean): number {
  let flags = (vma.shared ? MAP.SHARED : MAP.PRIVATE) | meaningOf(vma.flags).map;
  if (anonymous) flags |= MAP.ANONYMOUS;
  // Droppable memory is a type of its own beside shared and private.
  if ((flags & MAP.DROPPABLE) !== 0) flags &= ~MAP.PRIVATE;
  return flags;
}

/** The `madv` of a mapping: bit N for advice N of madvise(2). */
export function adviceBits(vma: Vma): bigint {
  return meaningOf(vma.flags).advice;
}

/** Flags of a mapping that are not known here: of a newer kernel, and lost. */
export function unknownFlags({ flags }: Vma): readonly string[] {
  return meaningOf(flags).unknown;
}

/** What stands for a flag that the kernel itself has no code for. */
const UNNAMED = "??";

/** The fields that every kind of mapping has alike. */
export function describeVma(
  vma: Vma,
  kind: {
    readonly status: number;
    readonly anonymous: boolean;
    readonly shmid?: bigint;
    readonly fdflags?: number;
    /** Of reserved huge pages: the size of one, in bytes. */
    readonly pageSize?: number;
  },
): VmaImage {
  const madv = adviceBits(vma);
  return {
    start: vma.start,
    end: vma.end,
    pgoff: vma.offset,
    shmid: kind.shmid ?? 0n,
    prot: vma.prot,
    flags: mapFlags(vma, kind.anonymous) |
      (kind.pageSize === undefined ? 0 : sizeFlag(kind.pageSize)),
    status: kind.status,
    fd: -1n,
    madv: madv === 0n ? undefined : madv,
    fdflags: kind.fdflags,
  };
}

/** How the kernel shows a name of prctl(PR_SET_VMA_ANON_NAME). */
const NAME = /^\[(?:anon|anon_shmem):(.*)\]$/s;

/** What a mapping has that `vma_entry` cannot say; undefined for most. */
export function extraOf(vma: Vma): MessageInitShape<typeof vma_extraSchema> | undefined {
  const name = vma.name.startsWith("[anon") ? NAME.exec(vma.name)?.[1] : undefined;
  const lockOnFault = vma.flags.has("lf") || undefined;
  const sealed = vma.flags.has("sl") || undefined;
  if (name === undefined && !lockOnFault && !sealed) return undefined;
  return { start: vma.start, name, lockOnFault, sealed };
}
