/**
 * The build id of ELF files: what a linker (`--build-id`) makes of all that is in a file, so that two files of the same
 * size tell whether they are the same build.
 *
 * @module
 */
import { isErrno } from "./errno.ts";
import { O } from "./fcntl.ts";
import { atPath } from "./files.ts";
import { cString, syscall } from "./libc_ffi.ts";
import { OwnedDescriptor } from "./pidfd.ts";
import { defineStruct } from "./struct.ts";
import { SYSCALLS } from "./x86_64/syscalls.ts";

/** What is read of an `Elf64_Ehdr` (elf(5)). */
const FileHeader = defineStruct("Elf64_Ehdr", 64, {
  magic: [0, "u32"],
  /** 2: 64 bits; 1: little-endian. */
  bits: [4, "u8"],
  order: [5, "u8"],
  programHeaders: [32, "u64"],
  programHeaderSize: [54, "u16"],
  programHeaderCount: [56, "u16"],
});
/** What is read of an `Elf64_Phdr`. */
const ProgramHeader = defineStruct("Elf64_Phdr", 56, {
  type: [0, "u32"],
  offset: [8, "u64"],
  fileSize: [32, "u64"],
});
/** `Elf64_Nhdr`: behind it the name and the contents, each padded to 4 bytes. */
const NoteHeader = defineStruct("Elf64_Nhdr", 12, {
  nameSize: [0, "u32"],
  size: [4, "u32"],
  type: [8, "u32"],
});

const ELF_MAGIC = 0x464c457f, ELFCLASS64 = 2, ELFDATA2LSB = 1;
const PT_NOTE = 4, NT_GNU_BUILD_ID = 3;
/** "GNU" and its zero. */
const GNU = 0x554e47;
/** More headers, or longer notes, has no file that a linker makes. */
const MOST_HEADERS = 1024, MOST_NOTES = 1 << 20, MOST_BYTES = 64;
/** Where nearly every file has its headers and its build id. */
const FIRST = 4096;

/**
 * Finds the build id of a file.
 *
 * @param read reads so many bytes of it from an offset on, or fewer at its end
 * @returns undefined if it is no ELF file of 64 bits, or has none
 */
export function findBuildId(
  read: (offset: number, length: number) => Uint8Array,
): Uint8Array | undefined {
  const first = read(0, FIRST);
  if (first.length < FileHeader.size) return undefined;
  const header = FileHeader.read(first);
  if (header.magic !== ELF_MAGIC || header.bits !== ELFCLASS64 || header.order !== ELFDATA2LSB) {
    return undefined;
  }
  const { programHeaders, programHeaderSize: size, programHeaderCount: count } = header;
  if (size < ProgramHeader.size || count > MOST_HEADERS) return undefined;
  const part = (offset: number, length: number): Uint8Array =>
    offset + length <= first.length
      ? first.subarray(offset, offset + length)
      : read(offset, length);
  const table = part(Number(programHeaders), size * count);
  for (let at = 0; at + ProgramHeader.size <= table.length; at += size) {
    const { type, offset, fileSize } = ProgramHeader.read(table.subarray(at));
    if (type !== PT_NOTE || fileSize > BigInt(MOST_NOTES)) continue;
    const found = findNote(part(Number(offset), Number(fileSize)));
    if (found !== undefined) return found;
  }
  return undefined;
}

function findNote(notes: Uint8Array): Uint8Array | undefined {
  for (let at = 0; at + NoteHeader.size <= notes.length;) {
    const { nameSize, size, type } = NoteHeader.read(notes.subarray(at));
    const name = at + NoteHeader.size;
    const begin = name + padded(nameSize);
    if (begin + size > notes.length) return undefined;
    const isGnu = nameSize === 4 && new DataView(notes.buffer, notes.byteOffset + name)
          .getUint32(0, true) === GNU;
    if (isGnu && type === NT_GNU_BUILD_ID) {
      return size > 0 && size <= MOST_BYTES ? notes.slice(begin, begin + size) : undefined;
    }
    at = begin + padded(size);
  }
  return undefined;
}

const padded = (size: number): number => Math.ceil(size / 4) * 4;

/** The build id of a file; undefined if it has none, or cannot be read. */
export function readBuildId(path: string): Uint8Array | undefined {
  // A fifo would be waited for.
  const how = O.RDONLY | O.CLOEXEC | O.NONBLOCK;
  const opened = atPath(path, (at, rest) => syscall(SYSCALLS.openat, at, cString(rest), how, 0));
  if (isErrno(opened)) return undefined;
  using file = new OwnedDescriptor(Number(opened));
  return findBuildId((offset, length) => {
    const bytes = new Uint8Array(length);
    const size = syscall(SYSCALLS.pread64, file.fd, bytes, length, offset);
    return isErrno(size) ? new Uint8Array() : bytes.subarray(0, Number(size));
  });
}

/** A build id as images have it: as numbers of four bytes each, the last one filled up with zeros. */
export function buildIdNumbers(id: Uint8Array): number[] {
  const bytes = new Uint8Array(padded(id.length));
  bytes.set(id);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(4 * index, true));
}
