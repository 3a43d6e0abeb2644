/**
 * The notes of an ELF core file of x86-64: what a debugger knows of a process beside its memory. Pure. Layouts:
 * `struct elf_prstatus` and `elf_prpsinfo` of include/linux/elfcore.h, what fs/binfmt_elf.c writes, and core(5).
 *
 * @module
 */
import { encodeBytes } from "../../base/byte_text.ts";
import { defineStruct } from "../../core/linux/struct.ts";

/** Types of notes (include/uapi/linux/elf.h). */
export const NOTE = {
  PRSTATUS: 1,
  PRFPREG: 2,
  PRPSINFO: 3,
  AUXV: 6,
  X86_XSTATE: 0x202,
  FILE: 0x46494c45,
  SIGINFO: 0x53494749,
} as const;

/** A note. */
export interface Note {
  /** `CORE`, or `LINUX` for what no other system has. */
  readonly owner: "CORE" | "LINUX";
  readonly type: number;
  readonly description: Uint8Array;
}

/** A thread as a debugger sees it. */
export interface CoreThread {
  readonly tid: number;
  /** `struct user_regs_struct`: 216 bytes. */
  readonly registers: Uint8Array;
  /** The xsave area in standard form; its first 512 bytes are that of FXSAVE. */
  readonly extended: Uint8Array;
  /** Signals that wait for it and that it blocks, bit N-1 for signal N. */
  readonly pending: bigint;
  readonly blocked: bigint;
}

/** A file that is mapped. */
export interface MappedFile {
  readonly start: bigint;
  readonly end: bigint;
  /** Where in the file, in bytes. */
  readonly offset: bigint;
  readonly path: string;
}

/** A process as a debugger sees it, but for its memory. */
export interface CoreProcess {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly uid: number;
  readonly gid: number;
  readonly nice: number;
  /** PF_*. */
  readonly flags: number;
  /** The signal that it is stopped by; 0: it was alive. */
  readonly signal: number;
  readonly comm: string;
  /** The command line as the process had it in its memory: words that end with NUL. */
  readonly args: Uint8Array;
  /** At least one: the debugger begins with the first. */
  readonly threads: readonly CoreThread[];
  /** Types and values in turn, AT_NULL at the end. */
  readonly auxv: readonly bigint[];
  readonly files: readonly MappedFile[];
}

const prstatus = defineStruct("elf_prstatus", 336, {
  signo: [0, "i32"],
  cursig: [12, "u16"],
  sigpend: [16, "u64"],
  sighold: [24, "u64"],
  pid: [32, "i32"],
  ppid: [36, "i32"],
  pgrp: [40, "i32"],
  sid: [44, "i32"],
  fpvalid: [328, "i32"],
});
const PRSTATUS_REGISTERS = 112;

const prpsinfo = defineStruct("elf_prpsinfo", 136, {
  state: [0, "u8"],
  sname: [1, "u8"],
  zombie: [2, "u8"],
  nice: [3, "u8"],
  flags: [8, "u64"],
  uid: [16, "u32"],
  gid: [20, "u32"],
  pid: [24, "i32"],
  ppid: [28, "i32"],
  pgrp: [32, "i32"],
  sid: [36, "i32"],
});
const FNAME = { offset: 40, size: 16 }, PSARGS = { offset: 56, size: 80 };
/** The place of T in the kernel's letters of states, "RSDTZW" (fill_psinfo() of fs/binfmt_elf.c). */
const STOPPED = 3;

const siginfo = defineStruct("siginfo", 128, { signo: [0, "i32"] });

/** The size of the area of FXSAVE: `struct user_fpregs_struct`. */
const FXSAVE_SIZE = 512;
const PAGE_SIZE = 4096n;

/** All notes of a process, in the kernel's order. */
export function coreNotes(process: CoreProcess): Note[] {
  const [first, ...others] = process.threads;
  if (first === undefined) throw new RangeError("a core file has one thread at least");
  return [
    core(NOTE.PRSTATUS, statusNote(process, first)),
    core(NOTE.PRPSINFO, infoNote(process)),
    core(NOTE.SIGINFO, siginfo.make({ signo: process.signal })),
    core(NOTE.AUXV, words(process.auxv)),
    core(NOTE.FILE, fileNote(process.files)),
    ...extendedNotes(first),
    ...others.flatMap((thread) => [
      core(NOTE.PRSTATUS, statusNote(process, thread)),
      ...extendedNotes(thread),
    ]),
  ];
}

/** Notes one behind the other, as they stand in the file: name and description are filled up to words of 32 bits. */
export function encodeNotes(notes: readonly Note[]): Uint8Array {
  const padded = (size: number) => (size + 3) & ~3;
  const sizes = notes.map(({ owner, description }) =>
    12 + padded(owner.length + 1) + padded(description.length)
  );
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  notes.forEach(({ owner, type, description }, index) => {
    view.setUint32(at, owner.length + 1, true);
    view.setUint32(at + 4, description.length, true);
    view.setUint32(at + 8, type, true);
    bytes.set(encodeBytes(owner), at + 12);
    bytes.set(description, at + 12 + padded(owner.length + 1));
    at += sizes[index] as number;
  });
  return bytes;
}

function core(type: number, description: Uint8Array): Note {
  return { owner: "CORE", type, description };
}

function extendedNotes({ extended }: CoreThread): Note[] {
  const notes = [core(NOTE.PRFPREG, extended.subarray(0, FXSAVE_SIZE))];
  if (extended.length <= FXSAVE_SIZE) return notes;
  return [...notes, { owner: "LINUX", type: NOTE.X86_XSTATE, description: extended }];
}

function statusNote(process: CoreProcess, thread: CoreThread): Uint8Array {
  const { ppid, pgid, sid, signal } = process;
  const bytes = prstatus.make({
    signo: signal,
    cursig: signal,
    sigpend: thread.pending,
    sighold: thread.blocked,
    pid: thread.tid,
    ppid,
    pgrp: pgid,
    sid,
    fpvalid: 1,
  });
  bytes.set(thread.registers, PRSTATUS_REGISTERS);
  return bytes;
}

function infoNote(process: CoreProcess): Uint8Array {
  const { pid, ppid, pgid, sid, uid, gid, nice, flags, signal, comm, args } = process;
  const state = signal === 0 ? 0 : STOPPED;
  const bytes = prpsinfo.make({
    state,
    sname: "RSDTZW".charCodeAt(state),
    nice: nice & 0xff,
    flags: BigInt(flags),
    uid,
    gid,
    pid,
    ppid,
    pgrp: pgid,
    sid,
  });
  bytes.set(encodeBytes(comm).subarray(0, FNAME.size - 1), FNAME.offset);
  // The kernel puts spaces between the words (fill_psinfo()); a NUL stays at the end.
  const end = args.findLastIndex((byte) => byte !== 0) + 1;
  const line = args.slice(0, Math.min(end, PSARGS.size - 1))
    .map((byte) => byte === 0 ? 0x20 : byte);
  bytes.set(line, PSARGS.offset);
  return bytes;
}

/** How many, the unit of offsets, of each file three words, and then the names. */
function fileNote(files: readonly MappedFile[]): Uint8Array {
  const table = words([
    BigInt(files.length),
    PAGE_SIZE,
    ...files.flatMap(({ start, end, offset }) => [start, end, offset / PAGE_SIZE]),
  ]);
  const names = files.map(({ path }) => encodeBytes(`${path}\0`));
  const bytes = new Uint8Array(names.reduce((sum, { length }) => sum + length, table.length));
  bytes.set(table);
  let at = table.length;
  for (const name of names) {
    bytes.set(name, at);
    at += name.length;
  }
  return bytes;
}

function words(values: readonly bigint[]): Uint8Array {
  return new Uint8Array(new BigUint64Array(values).buffer);
}
