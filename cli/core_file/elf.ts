/**
 * The frame of an ELF core file: header, program headers, and where the contents of each segment lie. Pure. Layouts:
 * include/uapi/linux/elf.h, elf(5).
 *
 * @module
 */
import { defineStruct } from "../../core/linux/struct.ts";

/** Where bytes of a segment come from. */
export interface Piece<Source> {
  /** Distance from the segment's beginning, in bytes. */
  readonly at: bigint;
  /** In bytes. */
  readonly size: bigint;
  readonly source: Source;
}

/** A range of addresses. */
export interface Segment<Source> {
  readonly start: bigint;
  readonly size: bigint;
  /** PROT_*. */
  readonly prot: number;
  /** Whether its contents are in the file: what no piece has is zeros then. */
  readonly inFile: boolean;
  /** Ascending, without overlaps. */
  readonly pieces: readonly Piece<Source>[];
}

/** Bytes to write. */
export interface Placed<Source> {
  /** Where in the core file. */
  readonly offset: bigint;
  readonly size: bigint;
  readonly source: Source;
}

/** A core file: what stands at its beginning, and what is to be copied where; the rest is a hole. */
export interface CoreLayout<Source> {
  readonly head: Uint8Array;
  readonly contents: readonly Placed<Source>[];
  /** Of the whole file, in bytes. */
  readonly size: bigint;
}

const header = defineStruct("elf64_hdr", 64, {
  type: [16, "u16"],
  machine: [18, "u16"],
  version: [20, "u32"],
  phoff: [32, "u64"],
  shoff: [40, "u64"],
  ehsize: [52, "u16"],
  phentsize: [54, "u16"],
  phnum: [56, "u16"],
  shentsize: [58, "u16"],
  shnum: [60, "u16"],
});
/** ELFMAG; 64 bits, little-endian, EV_CURRENT. */
const IDENT = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1];
const ET_CORE = 4, EM_X86_64 = 62, EV_CURRENT = 1;

const programHeader = defineStruct("elf64_phdr", 56, {
  type: [0, "u32"],
  flags: [4, "u32"],
  offset: [8, "u64"],
  vaddr: [16, "u64"],
  filesz: [32, "u64"],
  memsz: [40, "u64"],
  align: [48, "u64"],
});
const PT_LOAD = 1, PT_NOTE = 4;

const sectionHeader = defineStruct("elf64_shdr", 64, { size: [32, "u64"], info: [44, "u32"] });
/** Stands for a number of program headers that has no room, and is `sh_info` of the first section then. */
const PN_XNUM = 0xffff;
const PAGE_SIZE = 4096n;

/** Puts a core file together. @param notes encoded */
export function layoutCore<Source>(
  notes: Uint8Array,
  segments: readonly Segment<Source>[],
): CoreLayout<Source> {
  const count = segments.length + 1;
  const extended = count >= PN_XNUM;
  const notesAt = header.size + count * programHeader.size;
  const sectionAt = align(notesAt + notes.length, 8);
  const headSize = extended ? sectionAt + sectionHeader.size : notesAt + notes.length;
  const head = new Uint8Array(headSize);
  header.write(head, {
    type: ET_CORE,
    machine: EM_X86_64,
    version: EV_CURRENT,
    phoff: BigInt(header.size),
    ehsize: header.size,
    phentsize: programHeader.size,
    phnum: extended ? PN_XNUM : count,
    ...extended ? { shoff: BigInt(sectionAt), shentsize: sectionHeader.size, shnum: 1 } : {},
  });
  head.set(IDENT);
  if (extended) sectionHeader.write(head, { size: 1n, info: count }, sectionAt);
  programHeader.write(head, {
    type: PT_NOTE,
    offset: BigInt(notesAt),
    filesz: BigInt(notes.length),
    align: 4n,
  }, header.size);
  head.set(notes, notesAt);

  const contents: Placed<Source>[] = [];
  let offset = BigInt(align(headSize, Number(PAGE_SIZE)));
  segments.forEach(({ start, size, prot, inFile, pieces }, index) => {
    const filesz = inFile ? size : 0n;
    programHeader.write(head, {
      type: PT_LOAD,
      flags: flagsOf(prot),
      offset,
      vaddr: start,
      filesz,
      memsz: size,
      align: PAGE_SIZE,
    }, header.size + (index + 1) * programHeader.size);
    for (const { at, size, source } of pieces) contents.push({ offset: offset + at, size, source });
    offset += filesz;
  });
  return { head, contents, size: offset };
}

/** PROT_READ 1, PROT_WRITE 2 and PROT_EXEC 4 are PF_R 4, PF_W 2 and PF_X 1 here. */
function flagsOf(prot: number): number {
  return (prot & 1 ? 4 : 0) | prot & 2 | (prot & 4 ? 1 : 0);
}

function align(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
